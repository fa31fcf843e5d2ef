{{- /* Names and labels. */}}

{{- define "argosy.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* What names of objects begin with; room is left for components, ordinals and ports. */}}
{{- define "argosy.fullname" -}}
{{- $name := include "argosy.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "argosy.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "argosy.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "argosy.controller.fullname" -}}
{{- printf "%s-%s" (include "argosy.fullname" .) .Values.controller.name }}
{{- end }}

{{- define "argosy.server.fullname" -}}
{{- printf "%s-%s" (include "argosy.fullname" .) .Values.server.name }}
{{- end }}

{{- define "argosy.etcd.fullname" -}}
{{- printf "%s-etcd" (include "argosy.fullname" .) }}
{{- end }}

{{- define "argosy.dex.fullname" -}}
{{- printf "%s-%s" (include "argosy.fullname" .) .Values.dex.name }}
{{- end }}

{{- define "argosy.dex.account" -}}
{{- .Values.dex.serviceAccount.name | default (include "argosy.dex.fullname" .) }}
{{- end }}

{{- define "argosy.controller.account" -}}
{{- .Values.controller.serviceAccount.name | default (include "argosy.controller.fullname" .) }}
{{- end }}

{{- define "argosy.server.account" -}}
{{- .Values.server.serviceAccount.name | default (include "argosy.server.fullname" .) }}
{{- end }}

{{- /* Labels by which Pods of a component are found. Takes (list $ component). */}}
{{- define "argosy.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "argosy.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- /* Labels of every object. Takes (list $ component). */}}
{{- define "argosy.labels" -}}
{{- $root := index . 0 -}}
{{ include "argosy.selector" . }}
helm.sh/chart: {{ include "argosy.chart" $root }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: {{ include "argosy.name" $root }}
{{- with $root.Values.global.additionalLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Labels of settings, which Argo CD knows as its own parts. Takes (list $ name). */}}
{{- define "argosy.settings.labels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ index . 1 }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
helm.sh/chart: {{ include "argosy.chart" $root }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: argocd
{{- with $root.Values.global.additionalLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Metadata of an object of a component. Takes (dict "root" $ "component" c "name" n), and "namespace", "labels",
"annotations" where they differ. */}}
{{- define "argosy.metadata" -}}
name: {{ .name }}
namespace: {{ .namespace | default (include "argosy.namespace" .root) }}
labels:
  {{- include "argosy.labels" (list .root .component) | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

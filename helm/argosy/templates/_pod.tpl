{{- /* What Pods of the controller and the server have in common. */}}

{{- define "argosy.image" -}}
{{- $own := index . 1 }}
{{- $global := (index . 0).Values.global.image }}
{{- $tag := $own.tag | default $global.tag | default (index . 0).Chart.AppVersion -}}
image: {{ printf "%s:%s" ($own.repository | default $global.repository) $tag | quote }}
imagePullPolicy: {{ $own.imagePullPolicy | default $global.imagePullPolicy }}
{{- end }}

{{- /* Takes (list $ component, its values). */}}
{{- define "argosy.pod.metadata" -}}
{{- $root := index . 0 }}
{{- $own := index . 2 -}}
labels:
  {{- /* Not the chart's version: Pods are replaced when they differ, not when it does. */}}
  {{- include "argosy.selector" (list $root (index . 1)) | nindent 2 }}
  app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
  {{- with mergeOverwrite (deepCopy $root.Values.global.additionalLabels) $root.Values.global.podLabels $own.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $annotations := mergeOverwrite (deepCopy $root.Values.global.podAnnotations) $own.podAnnotations }}
{{- if $root.Values.global.addPrometheusAnnotations }}
{{- $_ := set $annotations "prometheus.io/scrape" "true" }}
{{- $_ := set $annotations "prometheus.io/port" (toString $own.containerPorts.metrics) }}
{{- end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Where Pods run. Takes (list $ component, its values). */}}
{{- define "argosy.pod.placing" -}}
{{- $root := index . 0 }}
{{- $own := index . 2 }}
{{- $selector := dict "matchLabels" (include "argosy.selector" (list $root (index . 1)) | fromYaml) }}
{{- with $own.priorityClassName | default $root.Values.global.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with mergeOverwrite (deepCopy $root.Values.global.nodeSelector) $own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations | default $root.Values.global.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $spread := $own.topologySpreadConstraints | default $root.Values.global.topologySpreadConstraints }}
topologySpreadConstraints:
{{- range $spread }}
{{- $entry := deepCopy . }}
{{- if not (hasKey $entry "labelSelector") }}
{{- $_ := set $entry "labelSelector" $selector }}
{{- end }}
  - {{- toYaml $entry | nindent 4 }}
{{- else }}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      {{- toYaml $selector | nindent 6 }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The rest of a Pod around its containers. Takes (list $ component, its values). */}}
{{- define "argosy.pod.spec" -}}
{{- $root := index . 0 }}
{{- $own := index . 2 }}
{{- with $own.imagePullSecrets | default $root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml $root.Values.global.securityContext | nindent 2 }}
automountServiceAccountToken: {{ $own.serviceAccount.automountServiceAccountToken }}
{{- /* Variables for every Service of the namespace are of no use here. */}}
enableServiceLinks: false
terminationGracePeriodSeconds: {{ $own.terminationGracePeriodSeconds }}
dnsPolicy: {{ $own.dnsPolicy }}
{{- with $own.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.global.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- include "argosy.pod.placing" . }}
{{- with $own.initContainers }}
initContainers:
  {{- tpl (toYaml .) $root | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Flags of every role. */}}
{{- define "argosy.args" -}}
- --namespace={{ include "argosy.namespace" . }}
- --loglevel={{ .Values.global.logging.level }}
- --logformat={{ .Values.global.logging.format }}
{{- end }}

{{- /* Variables of the environment. Takes (list $ its values). */}}
{{- define "argosy.env" -}}
{{- $all := concat (index . 0).Values.global.env (index . 1).env }}
{{- with $all }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Takes (dict "probe" its values, "port", "scheme"). */}}
{{- define "argosy.probe" -}}
httpGet:
  path: {{ .probe.httpPath }}
  port: {{ .port }}
  scheme: {{ .scheme }}
initialDelaySeconds: {{ .probe.initialDelaySeconds }}
periodSeconds: {{ .probe.periodSeconds }}
timeoutSeconds: {{ .probe.timeoutSeconds }}
successThreshold: {{ .probe.successThreshold }}
failureThreshold: {{ .probe.failureThreshold }}
{{- end }}

{{- /* A volume that lives with its Pod. Takes the component's values. */}}
{{- define "argosy.emptyDir" -}}
{{- with .emptyDir.sizeLimit }}
emptyDir: {sizeLimit: {{ . }}}
{{- else }}
emptyDir: {}
{{- end }}
{{- end }}

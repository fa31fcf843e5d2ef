{{- /* Objects that several components have. All take
(dict "root" $ "own" its values, "name" the full name, "scaled" the kind that is scaled, "account" its account). */}}

{{- define "argosy.account" }}
{{- if .own.serviceAccount.create }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "argosy.metadata" (dict "root" .root "component" .own.name "name" .account "labels" .own.serviceAccount.labels "annotations" .own.serviceAccount.annotations) | nindent 2 }}
automountServiceAccountToken: {{ .own.serviceAccount.automountServiceAccountToken }}
{{- end }}
{{- end }}

{{- define "argosy.scaling" }}
{{- $auto := .own.autoscaling }}
{{- if $auto.enabled }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "argosy.metadata" (dict "root" .root "component" .own.name "name" .name) | nindent 2 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: {{ .scaled }}, name: {{ .name }}}
  minReplicas: {{ $auto.minReplicas }}
  maxReplicas: {{ $auto.maxReplicas }}
  metrics:
    {{- range $resource, $target := dict "cpu" $auto.targetCPUUtilizationPercentage "memory" $auto.targetMemoryUtilizationPercentage }}
    {{- if $target }}
    - type: Resource
      resource: {name: {{ $resource }}, target: {type: Utilization, averageUtilization: {{ $target }}}}
    {{- end }}
    {{- end }}
    {{- with $auto.metrics }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $auto.behavior }}
  behavior:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "argosy.budget" }}
{{- $pdb := .own.pdb }}
{{- if $pdb.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "argosy.metadata" (dict "root" .root "component" .own.name "name" .name "labels" $pdb.labels "annotations" $pdb.annotations) | nindent 2 }}
spec:
  {{- if $pdb.minAvailable }}
  minAvailable: {{ $pdb.minAvailable }}
  {{- else }}
  maxUnavailable: {{ $pdb.maxUnavailable }}
  {{- end }}
  {{- /* A Pod that does not work is not worth protecting. */}}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "argosy.selector" (list .root .own.name) | nindent 6 }}
{{- end }}
{{- end }}

{{- define "argosy.metrics" }}
{{- $metrics := .own.metrics }}
{{- $monitor := $metrics.serviceMonitor }}
{{- if $metrics.enabled }}
---
apiVersion: v1
kind: Service
metadata:
  {{- include "argosy.metadata" (dict "root" .root "component" .own.name "name" (printf "%s-metrics" .name) "labels" (merge (dict "argosy.dev/metrics" .own.name) $metrics.service.labels) "annotations" $metrics.service.annotations) | nindent 2 }}
spec:
  selector:
    {{- include "argosy.selector" (list .root .own.name) | nindent 4 }}
  ports:
    - {name: {{ $metrics.service.portName }}, port: {{ $metrics.service.servicePort }}, targetPort: metrics, protocol: TCP}
{{- if $monitor.enabled }}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  {{- include "argosy.metadata" (dict "root" .root "component" .own.name "name" .name "namespace" $monitor.namespace "labels" (mergeOverwrite (deepCopy $monitor.selector) $monitor.additionalLabels) "annotations" $monitor.annotations) | nindent 2 }}
spec:
  namespaceSelector: {matchNames: [{{ include "argosy.namespace" .root }}]}
  selector:
    matchLabels:
      {{- include "argosy.selector" (list .root .own.name) | nindent 6 }}
      argosy.dev/metrics: {{ .own.name }}
  endpoints:
    - port: {{ $metrics.service.portName }}
      path: /metrics
      interval: {{ $monitor.interval }}
      {{- with $monitor.scrapeTimeout }}
      scrapeTimeout: {{ . }}
      {{- end }}
      honorLabels: {{ $monitor.honorLabels }}
      {{- with $monitor.relabelings }}
      relabelings:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $monitor.metricRelabelings }}
      metricRelabelings:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Rules about applications in a namespace besides the home's own, bound to an account. Takes (dict "root" $ "own"
its values, "name", "account", "rules"). */}}
{{- define "argosy.applicationRights" }}
{{- $namespaces := include "argosy.applicationNamespaces" .root | fromYaml }}
{{- $name := printf "%s-applications" .name }}
{{- if and $namespaces.all $namespaces.listed }}
{{- range $namespaces.all }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  {{- include "argosy.metadata" (dict "root" $.root "component" $.own.name "name" $name "namespace" .) | nindent 2 }}
rules:
  {{- toYaml $.rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "argosy.metadata" (dict "root" $.root "component" $.own.name "name" $name "namespace" .) | nindent 2 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ $name }}}
subjects:
  - {kind: ServiceAccount, name: {{ $.account }}, namespace: {{ include "argosy.namespace" $.root }}}
{{- end }}
{{- else if $namespaces.all }}
{{- include "argosy.clusterRights" . }}
{{- end }}
{{- end }}

{{- /* Rules in the whole cluster. Takes the same, and "suffix" where it is not about applications. */}}
{{- define "argosy.clusterRights" }}
{{- /* Cluster-wide names are shared by all namespaces. */}}
{{- $name := printf "%s-%s-%s" (include "argosy.namespace" .root) .name (.suffix | default "applications") }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ $name }}
  labels:
    {{- include "argosy.labels" (list .root .own.name) | nindent 4 }}
rules:
  {{- toYaml .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ $name }}
  labels:
    {{- include "argosy.labels" (list .root .own.name) | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ $name }}}
subjects:
  - {kind: ServiceAccount, name: {{ .account }}, namespace: {{ include "argosy.namespace" .root }}}
{{- end }}

{{- /* Rules in the home namespace. */}}
{{- define "argosy.homeRights" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  {{- include "argosy.metadata" (dict "root" .root "component" .own.name "name" .name) | nindent 2 }}
rules:
  {{- toYaml .rules | nindent 2 }}
  {{- with .own.roleRules | default list }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "argosy.metadata" (dict "root" .root "component" .own.name "name" .name) | nindent 2 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ .name }}}
subjects:
  - {kind: ServiceAccount, name: {{ .account }}, namespace: {{ include "argosy.namespace" .root }}}
{{- end }}

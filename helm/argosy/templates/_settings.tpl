{{- /* Decisions that several templates need. */}}

{{- /* A value as the text of an entry. Helm reads whole numbers as fractions and would write large ones with an exponent. */}}
{{- define "argosy.text" -}}
{{- if or (kindIs "map" .) (kindIs "slice" .) }}{{ toYaml . }}
{{- else if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}
{{- else }}{{ toString . }}
{{- end }}
{{- end }}

{{- /* Fails where values cannot work together. */}}
{{- define "argosy.check" -}}
{{- $etcd := .Values.etcd }}
{{- if and $etcd.bundled.enabled $etcd.endpoints }}
{{- fail "etcd.endpoints and etcd.bundled.enabled exclude each other: controllers agree in one etcd" }}
{{- end }}
{{- if and (not $etcd.tls.existingSecret) (contains "https://" (join "," $etcd.endpoints)) }}
{{- fail "etcd.endpoints with https need the authority of their certificates: set etcd.tls.existingSecret" }}
{{- end }}
{{- $many := or .Values.controller.autoscaling.enabled (gt (int .Values.controller.replicas) 1) }}
{{- if and $many (not (include "argosy.etcd.endpoints" .)) }}
{{- fail "more than one controller needs an etcd, or two would do the same work: set etcd.endpoints or etcd.bundled.enabled" }}
{{- end }}
{{- include "argosy.check.place" (dict "root" . "many" $many) }}
{{- include "argosy.check.members" . }}
{{- if and $etcd.auth.user (not $etcd.auth.existingSecret) }}
{{- fail "etcd.auth.user needs a password: set etcd.auth.existingSecret" }}
{{- end }}
{{- if and (not $etcd.bundled.persistence.enabled) $etcd.bundled.enabled (gt (int $etcd.bundled.replicas) 1) }}
{{- fail "a member of an etcd of three cannot come back without its data: set etcd.bundled.persistence.enabled or etcd.bundled.replicas=1" }}
{{- end }}
{{- end }}

{{- /* Controllers are replaced one after the other, so where some agree in one place and some in another, both kinds
would do all the work for a while. */}}
{{- define "argosy.check.place" -}}
{{- $root := .root }}
{{- $name := include "argosy.controller.fullname" $root }}
{{- $running := lookup "apps/v1" "StatefulSet" (include "argosy.namespace" $root) $name }}
{{- if and $running (not $root.Values.etcd.addressesOnly) }}
{{- $known := dict "endpoints" "" "prefix" "" }}
{{- range $flag := (index $running.spec.template.spec.containers 0).args }}
{{- range list "endpoints" "prefix" }}
{{- $start := printf "--etcd-%s=" . }}
{{- if hasPrefix $start $flag }}{{ $_ := set $known . (trimPrefix $start $flag) }}{{ end }}
{{- end }}
{{- end }}
{{- $endpoints := include "argosy.etcd.endpoints" $root }}
{{- $differs := or (ne $known.endpoints $endpoints) (and $endpoints (ne $known.prefix $root.Values.etcd.prefix)) }}
{{- $count := int $running.spec.replicas }}
{{- if and $differs (gt $count 0) (or .many (gt $count 1)) }}
{{- fail (printf "where controllers agree (etcd) can change only while there is one, before and after, or none: upgrade with controller.replicas=1 first, or scale the StatefulSet %s to 0; or, if only the addresses of the same etcd are new, set etcd.addressesOnly" $name) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Members of an etcd are counted when it begins: one that is told of others later goes on alone, and the others begin
an etcd of their own. */}}
{{- define "argosy.check.members" -}}
{{- $own := .Values.etcd.bundled }}
{{- $name := include "argosy.etcd.fullname" . }}
{{- $running := lookup "apps/v1" "StatefulSet" (include "argosy.namespace" .) $name }}
{{- if and $own.enabled $running }}
{{- $count := int $running.spec.replicas }}
{{- if and (gt $count 0) (ne $count (int $own.replicas)) }}
{{- fail (printf "etcd.bundled.replicas is chosen before the installation: %s has %d, and one that runs takes no others in; to change it, begin anew with controllers scaled to 0, the StatefulSet and its volumes deleted" $name $count) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Where etcd is, separated by commas; empty without one. */}}
{{- define "argosy.etcd.endpoints" -}}
{{- if .Values.etcd.bundled.enabled }}
{{- $name := include "argosy.etcd.fullname" . }}
{{- $members := list }}
{{- range $i := until (int .Values.etcd.bundled.replicas) }}
{{- $host := printf "%s-%d.%s.%s.svc" $name $i $name (include "argosy.namespace" $) }}
{{- $members = append $members (printf "https://%s:%d" $host (int $.Values.etcd.bundled.containerPorts.client)) }}
{{- end }}
{{- join "," $members }}
{{- else }}
{{- join "," .Values.etcd.endpoints }}
{{- end }}
{{- end }}

{{- /* The Secret with what controllers need for TLS with etcd; empty without TLS. */}}
{{- define "argosy.etcd.clientSecret" -}}
{{- if .Values.etcd.bundled.enabled }}
{{- .Values.etcd.bundled.tls.existingSecret | default (printf "%s-client" (include "argosy.etcd.fullname" .)) }}
{{- else }}
{{- .Values.etcd.tls.existingSecret }}
{{- end }}
{{- end }}

{{- /* Keys of that Secret, as YAML: `ca`, and `cert` and `key` where a certificate is shown. */}}
{{- define "argosy.etcd.clientKeys" -}}
{{- if .Values.etcd.bundled.enabled -}}
{ca: ca.crt, cert: tls.crt, key: tls.key}
{{- else if .Values.etcd.tls.clientCertificate -}}
{ca: {{ .Values.etcd.tls.caKey | quote }}, cert: {{ .Values.etcd.tls.certKey | quote }}, key: {{ .Values.etcd.tls.keyKey | quote }}}
{{- else -}}
{ca: {{ .Values.etcd.tls.caKey | quote }}}
{{- end }}
{{- end }}

{{- /* `true` where the API is served without TLS. */}}
{{- define "argosy.server.insecure" -}}
{{- $args := .Values.server.extraArgs }}
{{- if or (has "--insecure" $args) (has "--insecure=true" $args) }}true
{{- else if eq (toString (index .Values.configs.params "server.insecure")) "true" }}true
{{- end }}
{{- end }}

{{- define "argosy.server.scheme" -}}
{{- if include "argosy.server.insecure" . }}HTTP{{ else }}HTTPS{{ end }}
{{- end }}

{{- /* Patterns of the namespaces with applications besides the home's own, as a list in `all`; `listed` where every
one is a plain name, so that rights can be given in each. */}}
{{- define "argosy.applicationNamespaces" -}}
{{- $home := include "argosy.namespace" . }}
{{- $all := list }}
{{- $plain := true }}
{{- range splitList "," (toString (index .Values.configs.params "application.namespaces" | default "")) }}
{{- $pattern := trim . }}
{{- if and $pattern (ne $pattern $home) }}
{{- $all = append $all $pattern }}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" $pattern) }}{{ $plain = false }}{{ end }}
{{- end }}
{{- end }}
{{- /* More are watched all at once, which needs a right to all. */}}
{{- if gt (len (uniq $all)) 7 }}{{ $plain = false }}{{ end }}
{{- toYaml (dict "all" (uniq $all) "listed" $plain) }}
{{- end }}

{{- /* `true` where a component's connections are restricted. Takes (list $ its values). */}}
{{- define "argosy.restricted" -}}
{{- if or (index . 0).Values.global.networkPolicy.create (index . 1).networkPolicy.create }}true{{ end }}
{{- end }}

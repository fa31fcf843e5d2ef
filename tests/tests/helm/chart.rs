//! A small chart: what many applications are made of, and a hook.

use argosy_tests::TempFolder;

const FILES: &[(&str, &str)] = &[
    ("Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.2.3\nappVersion: \"4.5\"\n"),
    ("values.yaml", "replicas: 1\ngreeting: hello\nport: 80\ntype: ClusterIP\naccount: true\nhook: ready\n"),
    ("templates/NOTES.txt", "{{ .Release.Name }} says {{ .Values.greeting }}, revision {{ .Release.Revision }}.\n"),
    (
        "templates/_names.tpl",
        r#"{{- define "web.labels" }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
"#,
    ),
    (
        "templates/account.yaml",
        r#"{{- if .Values.account }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .Release.Name }}
  labels: {{- include "web.labels" . | nindent 4 }}
{{- end }}
"#,
    ),
    (
        "templates/config.yaml",
        r#"apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
  labels: {{- include "web.labels" . | nindent 4 }}
data:
  greeting: {{ .Values.greeting | quote }}
  kubernetes: {{ .Capabilities.KubeVersion.Version | quote }}
  knows: {{ .Capabilities.APIVersions.Has "apps/v1/Deployment" | quote }}
  found: {{ (lookup "v1" "Namespace" "" "default").metadata.name | quote }}
"#,
    ),
    (
        "templates/service.yaml",
        r#"apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
  labels: {{- include "web.labels" . | nindent 4 }}
spec:
  type: {{ .Values.type }}
  selector: {app: web}
  ports: [{name: http, port: {{ .Values.port }}, targetPort: http}]
"#,
    ),
    (
        "templates/deployment.yaml",
        r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels: {{- include "web.labels" . | nindent 4 }}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations: {greeting: {{ .Values.greeting | quote }}}
    spec:
      {{- if .Values.account }}
      serviceAccountName: {{ .Release.Name }}
      {{- end }}
      containers:
      - name: web
        image: example.com/web:{{ .Chart.AppVersion }}
        ports: [{name: http, containerPort: 8080}]
        envFrom: [{configMapRef: {name: {{ .Release.Name }}}}]
"#,
    ),
    (
        "templates/hook.yaml",
        r#"apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-migrate
  annotations:
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-delete-policy: before-hook-creation
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {argosy.test/pod: {{ .Values.hook }}}}
    spec:
      restartPolicy: Never
      containers: [{name: migrate, image: example.com/migrate}]
"#,
    ),
];

/// Writes it into a folder.
pub(crate) fn write(folder: &TempFolder) -> anyhow::Result<()> {
    std::fs::create_dir(folder.join("templates"))?;
    for (name, text) in FILES {
        folder.write(name, text)?;
    }
    Ok(())
}

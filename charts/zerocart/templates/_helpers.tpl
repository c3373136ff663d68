{{- define "zerocart.image" -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}
{{- end }}

{{/* The address of a service as everything in the cluster reaches it. */}}
{{- define "zerocart.address" -}}
{{ .name }}.{{ .namespace }}.svc.cluster.local
{{- end }}

{{/* Nothing of ours runs as root, gains rights or writes to its image. */}}
{{- define "zerocart.securityContext" -}}
securityContext:
  runAsNonRoot: true
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Where an event goes that its receiver did not take. */}}
{{- define "zerocart.delivery" -}}
delivery:
  retry: {{ .Values.delivery.retry }}
  backoffPolicy: {{ .Values.delivery.backoffPolicy }}
  backoffDelay: {{ .Values.delivery.backoffDelay }}
  timeout: {{ .Values.delivery.timeout }}
  deadLetterSink:
    ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: operations, namespace: {{ .Release.Namespace }}}
    uri: /events
{{- end }}

{{- define "zerocart.urls" -}}
{{- $urls := dict }}
{{- range .warms }}
{{- $_ := set $urls . (printf "http://%s" (include "zerocart.address" (dict "name" . "namespace" $.namespace))) }}
{{- end }}
{{- $urls | toJson }}
{{- end }}

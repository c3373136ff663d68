{{- define "zerocart.image" -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}
{{- end }}

{{/* The address of a service as everything in the cluster reaches it. */}}
{{- define "zerocart.address" -}}
{{ .name }}.{{ .namespace }}.svc.cluster.local
{{- end }}

{{/* How many processes, and how long one that has nothing to do is kept. */}}
{{- define "zerocart.scale" -}}
{{- if gt (int .scale.min) (int .scale.max) }}
{{- fail (printf "%s: scale.min is %v and scale.max is %v" .name .scale.min .scale.max) }}
{{- end -}}
autoscaling.knative.dev/min-scale: {{ .scale.min | quote }}
autoscaling.knative.dev/max-scale: {{ .scale.max | quote }}
autoscaling.knative.dev/window: {{ .scale.window }}
{{- end }}

{{/* A processor or memory quantity as a number: processors, or KiB. */}}
{{- define "zerocart.quantity" -}}
{{- if hasSuffix "i" . }}
{{- mulf (regexReplaceAll "[KMG]i$" . "" | float64) (get (dict "Ki" 1 "Mi" 1024 "Gi" 1048576) (regexFind "[KMG]i$" .)) }}
{{- else if hasSuffix "m" . }}
{{- divf (trimSuffix "m" . | float64) 1000 }}
{{- else }}
{{- . }}
{{- end }}
{{- end }}

{{/* What a container gets; Kubernetes refuses a limit below the request. */}}
{{- define "zerocart.resources" -}}
{{- range $what, $least := .resources.requests }}
{{- $most := get $.resources.limits $what }}
{{- if gt (include "zerocart.quantity" $least | float64) (include "zerocart.quantity" $most | float64) }}
{{- fail (printf "%s: resources.requests.%s is %s and resources.limits.%s is %s" $.name $what $least $what $most) }}
{{- end }}
{{- end }}
{{- toYaml .resources }}
{{- end }}

{{/*
Where the pods of one workload run. A spread constraint without a selector counts the pods of this workload.
*/}}
{{- define "zerocart.scheduling" -}}
{{- $set := dict }}
{{- range $field, $value := .scheduling }}
{{- if $value }}{{ $_ := set $set $field $value }}{{ end }}
{{- end }}
{{- with $set.topologySpreadConstraints }}
{{- $own := dict "labelSelector" (dict "matchLabels" (dict "app.kubernetes.io/name" $.name)) }}
{{- $constraints := list }}
{{- range . }}{{ $constraints = append $constraints (merge (deepCopy .) $own) }}{{ end }}
{{- $_ := set $set "topologySpreadConstraints" $constraints }}
{{- end }}
{{- with $set }}{{ toYaml . }}{{ end }}
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
    {{- if .Values.identity.enabled }}
    audience: {{ .Release.Namespace }}/operations
    {{- end }}
{{- end }}

{{- define "zerocart.urls" -}}
{{- $urls := dict }}
{{- range .warms }}
{{- $_ := set $urls . (printf "http://%s" (include "zerocart.address" (dict "name" . "namespace" $.namespace))) }}
{{- end }}
{{- $urls | toJson }}
{{- end }}

{{/* The Broker's own Secret for Kafka, in its format, as files named as our settings are. */}}
{{- define "zerocart.kafkaSecrets" -}}
{{- with .Values.kafka.authSecret }}
- secret:
    name: {{ . | quote }}
    items:
      - {key: protocol, path: KAFKA_SECURITY_PROTOCOL}
# not every protocol needs all of these
{{- range $key, $path := dict "sasl.mechanism" "KAFKA_SASL_MECHANISM" "user" "KAFKA_SASL_USER" "password" "KAFKA_SASL_PASSWORD" "ca.crt" "KAFKA_CA" }}
- secret: {name: {{ $.Values.kafka.authSecret | quote }}, optional: true, items: [{key: {{ $key }}, path: {{ $path }}}]}
{{- end }}
{{- end }}
{{- end }}

{{/* The service accounts that Eventing makes for who delivers to a service: its own Trigger, for operations every Trigger. */}}
{{- define "zerocart.deliverers" -}}
{{- $found := list }}
{{- range $name, $service := .root.Values.services }}
{{- if and $service.hears (or (eq $name $.name) (eq $.name "operations")) }}
{{- $found = append $found (printf "system:serviceaccount:%s:%s-oidc-eventing.knative.dev-trigger" $.root.Release.Namespace $name) }}
{{- end }}
{{- end }}
{{- if eq .name "scheduler" }}
{{- $found = append $found (printf "system:serviceaccount:%s:scheduler-clock-oidc-sources.knative.dev-pingsource" .root.Release.Namespace) }}
{{- end }}
{{- join "," $found }}
{{- end }}

{{/* The pod that builds the views: what the projection has, and a process that ends (services/projection/build.py). */}}
{{- define "zerocart.buildContainer" -}}
{{- $image := mergeOverwrite (deepCopy .Values.image) (dict "tag" (.Values.image.tag | default .Chart.AppVersion)) -}}
{{- $it := mergeOverwrite (deepCopy .Values.defaults) .Values.services.projection -}}
name: build-views
image: {{ include "zerocart.image" $image }}
imagePullPolicy: {{ $image.pullPolicy }}
command: [python, -m, services.projection.build]
env:
  {{- range $key, $value := mergeOverwrite (deepCopy .Values.env) ($it.env | default dict) }}
  - name: {{ $key }}
    value: {{ $value | quote }}
  {{- end }}
  - name: ZEROCART_SECRETS_DIR
    value: /var/run/secrets/zerocart
  {{- if .Values.archive.claim }}
  - name: ZEROCART_ARCHIVE
    value: /var/lib/zerocart/archive
  {{- end }}
volumeMounts:
  - name: build-secrets
    mountPath: /var/run/secrets/zerocart
    readOnly: true
  {{- if .Values.archive.claim }}
  - name: archive
    mountPath: /var/lib/zerocart/archive
    readOnly: true
  {{- end }}
resources:
  {{- include "zerocart.resources" (dict "name" "projection" "resources" $it.resources) | nindent 2 }}
{{ include "zerocart.securityContext" . }}
{{- end }}

{{/* The volume with the files of archived events, in a list of volumes. */}}
{{- define "zerocart.archiveVolume" -}}
{{- with .Values.archive.claim }}
- name: archive
  persistentVolumeClaim: {claimName: {{ . | quote }}, readOnly: true}
{{- end }}
{{- end }}

{{- define "zerocart.buildVolume" -}}
name: build-secrets
projected:
  sources:
    - secret:
        name: {{ .Values.secrets.name | quote }}
        items:
          - {key: projection-database-url, path: ZEROCART_DATABASE_URL}
          - {key: projection-read-database-url, path: ZEROCART_READ_DATABASE_URL}
          {{- range $path, $key := .Values.services.projection.secrets }}
          - {key: {{ $key | quote }}, path: {{ $path }}}
          {{- end }}
          {{- range .Values.secrets.shared }}
          - {key: {{ . | quote }}, path: {{ . | quote }}}
          {{- end }}
{{- end }}

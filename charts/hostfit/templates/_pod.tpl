{{/* What the pods of both components share. All take (dict "root" $ "component" "webhook"). */}}

{{/* Fields of the pod's spec. */}}
{{- define "hostfit.podSettings" -}}
{{- $root := .root -}}
{{- $selector := include "hostfit.selectorLabels" . | fromYaml -}}
serviceAccountName: {{ include "hostfit.componentName" . }}
automountServiceAccountToken: true
enableServiceLinks: false
securityContext:
  # No runAsUser: the image says 65532, and OpenShift chooses its own.
  runAsNonRoot: true
  seccompProfile:
    type: RuntimeDefault
{{- with ($root.Values.global).imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ if kindIs "string" . }}{{ . | quote }}{{ else }}{{ .name | quote }}{{ end }}
  {{- end }}
{{- end }}
{{- with $root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
topologySpreadConstraints:
{{- if $root.Values.topologySpreadConstraints }}
{{- range $root.Values.topologySpreadConstraints }}
  - {{ hasKey . "labelSelector" | ternary . (merge (dict "labelSelector" (dict "matchLabels" $selector)) .) | toYaml | nindent 4 | trim }}
{{- end }}
{{- else }}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- toYaml $selector | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}
{{- end -}}

{{- define "hostfit.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* Annotations of what is there while `helm test` runs. */}}
{{- define "hostfit.testHook" -}}
helm.sh/hook: test
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
{{- end -}}

{{/* Fields of the container, but for env, volumeMounts and further ports. */}}
{{- define "hostfit.containerSettings" -}}
image: {{ include "hostfit.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
command: [/usr/bin/hostfit-{{ .component }}]
# So that its last words are in the pod's status, where `hostfit doctor` and `kubectl describe` read them.
terminationMessagePolicy: FallbackToLogsOnError
{{ include "hostfit.containerSecurity" . }}
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 2
  timeoutSeconds: 1
livenessProbe:
  httpGet: {path: /livez, port: admin}
  initialDelaySeconds: 10
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 6
{{- with (index .root.Values .component).resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Settings of both programs. A list that is empty is not set. */}}
{{- define "hostfit.commonEnv" -}}
- name: HOSTFIT_ADMIN_LISTEN
  value: 0.0.0.0:8080
- name: HOSTFIT_LOG
  value: {{ (index .root.Values .component).logLevel | quote }}
- name: HOSTFIT_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- with .root.Values.registry }}
{{- with .plainHTTP }}
- name: HOSTFIT_REGISTRY_PLAIN_HTTP
  value: {{ join "," . | quote }}
{{- end }}
{{- with .allow }}
- name: HOSTFIT_REGISTRY_ALLOW
  value: {{ join "," . | quote }}
{{- end }}
{{- with .mirrors }}
{{- $mirrors := list }}
{{- range $registry, $urls := . }}
{{- range $urls }}
{{- $mirrors = append $mirrors (printf "%s=%s" $registry .) }}
{{- end }}
{{- end }}
- name: HOSTFIT_REGISTRY_MIRRORS
  value: {{ join "," $mirrors | quote }}
{{- end }}
{{- if not .allowPrivate }}
- name: HOSTFIT_REGISTRY_ALLOW_PRIVATE
  value: "false"
{{- end }}
{{- with .denyNetworks }}
- name: HOSTFIT_REGISTRY_DENY_NETWORKS
  value: {{ join "," . | quote }}
{{- end }}
{{- with .trustedRealms }}
- name: HOSTFIT_REGISTRY_TRUSTED_REALMS
  value: {{ join "," . | quote }}
{{- end }}
{{- if trim .caBundle }}
- name: HOSTFIT_REGISTRY_CA_FILE
  value: /registry-ca/ca.crt
{{- end }}
{{- if .listed }}
- name: HOSTFIT_REGISTRY_CREDENTIALS_DIR
  value: /pull-secrets
{{- end }}
{{- with .pullSecretNamespaces }}
- name: HOSTFIT_PULL_SECRET_NAMESPACES
  value: {{ join "," . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "hostfit.registryVolumeMounts" -}}
{{- with .root.Values.registry }}
{{- if trim .caBundle }}
- name: registry-ca
  mountPath: /registry-ca
  readOnly: true
{{- end }}
{{- range $index, $name := .listed }}
- name: pull-secret-{{ $index }}
  mountPath: /pull-secrets/{{ $name }}
  readOnly: true
{{- end }}
{{- end }}
{{- end -}}

{{- define "hostfit.registryVolumes" -}}
{{- $fullname := include "hostfit.fullname" .root }}
{{- with .root.Values.registry }}
{{- if trim .caBundle }}
- name: registry-ca
  configMap:
    name: {{ $fullname }}-registry-ca
{{- end }}
{{- range $index, $name := .listed }}
- name: pull-secret-{{ $index }}
  secret:
    secretName: {{ $name | quote }}
    # One that is missing must not stop the pods: its registry's images are Unknown until it is there.
    optional: true
{{- end }}
{{- end }}
{{- end -}}

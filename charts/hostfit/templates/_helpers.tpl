{{/* Names, labels and the image. What both Deployments share is in _pod.tpl. */}}

{{- define "hostfit.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* The first part of all names; short enough for what is appended (a Service's name has 63 characters at most). */}}
{{- define "hostfit.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name of a component's objects: (dict "root" $ "component" "webhook"). */}}
{{- define "hostfit.componentName" -}}
{{- printf "%s-%s" (include "hostfit.fullname" .root) .component -}}
{{- end -}}

{{- define "hostfit.tlsSecret" -}}
{{- printf "%s-webhook-tls" (include "hostfit.fullname" .) -}}
{{- end -}}

{{/* Labels of an object: (dict "root" $), with a "component" if it belongs to one. */}}
{{- define "hostfit.labels" -}}
{{- $root := .root -}}
{{- with ($root.Values.global).commonLabels }}
{{- toYaml . }}
{{ end -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: hostfit
{{ include "hostfit.selectorLabels" . }}
{{- end -}}

{{- define "hostfit.selectorLabels" -}}
app.kubernetes.io/name: {{ include "hostfit.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "hostfit.image" -}}
{{- $repository := .Values.image.repository -}}
{{- with (.Values.global).imageRegistry -}}
{{- $parts := splitList "/" $repository -}}
{{- if and (gt (len $parts) 1) (regexMatch "[.:]|^localhost$" (first $parts)) -}}
{{- $parts = rest $parts -}}
{{- end -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) (join "/" $parts) -}}
{{- end -}}
{{- $tag := .Values.image.tag | default (ternary "" .Chart.AppVersion (ne .Values.image.digest "")) -}}
{{- $repository }}{{ with $tag }}:{{ . }}{{ end }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end -}}

{{/* Namespaces whose pods are never judged, as a JSON list: our own first. */}}
{{- define "hostfit.excludedNamespaces" -}}
{{- prepend (.Values.webhook.excludedNamespaces | default list) .Release.Namespace | uniq | toJson -}}
{{- end -}}

{{/* The objects that the operator makes at start, as YAML documents: the SupportMatrix, then BaseImages. */}}
{{- define "hostfit.defaults" -}}
{{- if .Values.matrix.create }}
---
apiVersion: hostfit.dev/v1alpha1
kind: SupportMatrix
metadata:
  name: {{ .Values.matrix.name | quote }}
spec:
  mode: {{ .Values.mode }}
  rulePacks:
    {{- toYaml (.Values.matrix.rulePacks | default list) | nindent 4 }}
  {{- with .Values.matrix.unknownPolicy }}
  unknownPolicy:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.matrix.spec }}
  {{- $kind := index ($.Files.Get "files/crds/supportmatrices.yaml" | fromYaml).spec.versions 0 }}
  {{- $fields := keys $kind.schema.openAPIV3Schema.properties.spec.properties | sortAlpha }}
  {{- range $field := keys . | sortAlpha }}
  {{- if not (has $field $fields) }}
  {{- fail (printf "matrix.spec.%s: a SupportMatrix has no such field; it has %s" $field (join ", " $fields)) }}
  {{- end }}
  {{- end }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- range .Values.baseImages }}
---
apiVersion: hostfit.dev/v1alpha1
kind: BaseImage
metadata:
  name: {{ .name | quote }}
spec:
  {{- toYaml .spec | nindent 2 }}
{{- end }}
{{- end -}}

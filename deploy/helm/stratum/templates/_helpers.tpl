{{- define "stratum.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "stratum.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains .Chart.Name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "stratum.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* The name within the cluster that the certificate must have. */}}
{{- define "stratum.tlsName" -}}
{{ include "stratum.fullname" . }}.{{ .Release.Namespace }}.svc
{{- end }}

{{- define "stratum.selector" -}}
app.kubernetes.io/name: {{ include "stratum.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "stratum.labels" -}}
{{ include "stratum.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* The secret with root's credentials: the one that is named, or the chart's own. */ -}}
{{- define "stratum.rootSecret" -}}
{{- .Values.existingSecret | default (printf "%s-root" (include "stratum.fullname" .)) }}
{{- end }}

{{- /* What is asked for and can't be, said in words before anything is made. */ -}}
{{- define "stratum.refuse" -}}
{{- if ne (int .Values.replicas) 1 }}
{{- fail (printf "replicas is %v: Stratum has no cluster yet, and each further server would be a store of its own behind the same address, which answers with what the other one doesn't have. Leave it at 1." .Values.replicas) }}
{{- end }}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.tokenSecret) }}
{{- fail "metrics.serviceMonitor needs metrics.tokenSecret: a server without a token tells its metrics to loopback alone, and Prometheus isn't there." }}
{{- end }}
{{- range tuple "address" "data" }}
{{- if hasKey $.Values.server . }}
{{- fail (printf "server.%s is the chart's own: leave it out." .) }}
{{- end }}
{{- end }}
{{- if regexMatch "(?m)^\\s*\\[server\\]" .Values.config }}
{{- fail "config has a section [server], which the chart writes itself: its values go into `server`." }}
{{- end }}
{{- if and .Values.tlsSecret (regexMatch "(?m)^\\s*\\[tls\\]" .Values.config) }}
{{- fail "config has a section [tls], which the chart writes itself from tlsSecret: leave one out." }}
{{- end }}
{{- end }}

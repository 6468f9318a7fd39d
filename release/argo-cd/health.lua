-- Health of a CompatReport in Argo CD. In the ConfigMap argocd-cm, as
--   resource.customizations.health.hostfit.dev_CompatReport
-- A report is a statement and no part of the application: it is healthy when it is written, and its message tells what
-- was found. Whether that is refused is the business of admission, not of Argo CD.
local health = {status = "Progressing", message = "not judged yet"}
local status = obj.status
if status == nil or status.verdict == nil then
  return health
end
health.status = "Healthy"
health.message = status.verdict
if status.hosts ~= nil and status.hosts ~= "" then
  health.message = health.message .. ", fits " .. status.hosts .. " host profiles"
end
if status.findings ~= nil and status.findings[1] ~= nil then
  local worst = status.findings[1]
  health.message = health.message .. ". " .. worst.code .. ": " .. worst.message .. ". Fix: " .. worst.remediation
end
return health

"""How the service is, for operators and monitoring.

For other packages: `status.statuses`, `overview` (many accounts at once), `doctor.run_checks`,
`metrics.Metrics`, `http.serving`, `webhook.WebhookSender` and `healthcheck_ping.HealthcheckPinger`. The only package that
imports prometheus-client. It imports nothing itself.
"""

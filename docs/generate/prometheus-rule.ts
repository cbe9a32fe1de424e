/** `config/kubernetes/monitoring/prometheus-rule.yaml`, for the Prometheus operator: made from the text of `config/prometheus/alerts.yaml`. */
export function prometheusRule(alerts: string): string {
  const groups = alerts.slice(alerts.indexOf("\ngroups:") + 1).replaceAll(/^(?=.)/gm, "  ");
  return `${HEAD}spec:\n${groups}`;
}

const HEAD = `# Made from config/prometheus/alerts.yaml by \`npm run docs\`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: pgnetd
  labels:
    app.kubernetes.io/name: pgnetd
`;

/**
 * Finding -> the bytes that go out: an OCSF 1.8.0 Detection Finding (class 2004) as one line of JSON, and the CloudEvents 1.0 headers
 * that travel beside it on Kafka (binary mode). A function of the finding alone, so a replay writes the same bytes.
 */
import type { Severity } from '../rule.ts';
import type { Activity, Finding, Sample } from './finding.ts';

const classUid = 2004;

const activities: Record<Activity, { id: number; name: string; statusId: number; status: string }> = {
  open: { id: 1, name: 'Create', statusId: 1, status: 'New' },
  update: { id: 2, name: 'Update', statusId: 2, status: 'In Progress' },
  close: { id: 3, name: 'Close', statusId: 4, status: 'Resolved' },
};

const severities: Record<Severity, { id: number; name: string }> = {
  low: { id: 2, name: 'Low' },
  medium: { id: 3, name: 'Medium' },
  high: { id: 4, name: 'High' },
  critical: { id: 5, name: 'Critical' },
};

/** OCSF analytic types: 1 rule, 2 behavioral, 3 statistical. A detector not named here compares with what its rule says: a rule. */
const analyticTypes: Record<string, { id: number; name: string }> = {
  unusual: { id: 3, name: 'Statistical' },
  percentile: { id: 3, name: 'Statistical' },
  drift: { id: 3, name: 'Statistical' },
  benford: { id: 3, name: 'Statistical' },
  ks: { id: 3, name: 'Statistical' },
  novel: { id: 2, name: 'Behavioral' },
};
const ruleAnalytic = { id: 1, name: 'Rule' };

/** The finding as an OCSF object, its fields always in the same order. Numbers that JSON cannot carry (NaN, infinities) become null. */
export function toOcsf(finding: Finding): object {
  const activity = activities[finding.activity];
  const severity = severities[finding.severity];
  return {
    class_uid: classUid,
    class_name: 'Detection Finding',
    category_uid: 2,
    category_name: 'Findings',
    activity_id: activity.id,
    activity_name: activity.name,
    type_uid: classUid * 100 + activity.id,
    time: finding.timeMs,
    severity_id: severity.id,
    severity: severity.name,
    status_id: activity.statusId,
    status: activity.status,
    is_alert: finding.status !== 'shadow',
    ...confidence(finding),
    message: finding.summary,
    start_time: finding.windowStartMs,
    end_time: finding.windowEndMs,
    metadata: {
      version: '1.8.0',
      product: {
        name: 'streamgauge',
        vendor_name: 'streamgauge',
      },
      uid: eventId(finding),
      sequence: finding.sequence,
    },
    finding_info: findingInfo(finding),
    ...resources(finding.key),
    evidences: [evidence(finding)],
    unmapped: unmapped(finding),
  };
}

/** The finding as one line of JSON, the same bytes for the same finding. */
export function findingJson(finding: Finding): string {
  return JSON.stringify(toOcsf(finding));
}

/** CloudEvents 1.0 in Kafka's binary mode. Equal (source, id) is a duplicate by its standard, and `id` names finding, activity and sequence. */
export function cloudEventHeaders(finding: Finding): Record<string, string> {
  const time = rfc3339(finding.timeMs);
  return {
    ce_specversion: '1.0',
    ce_id: eventId(finding),
    ce_source: `/streamgauge/rules/${encodeURIComponent(finding.rule)}`,
    ce_type: `io.streamgauge.finding.${finding.activity}`,
    ...(time === undefined ? {} : { ce_time: time }),
    ce_subject: finding.id,
    'content-type': 'application/json',
  };
}

/** What tells a finding that goes out apart from every other: the same in every replay. */
export function eventId(finding: Pick<Finding, 'id' | 'activity' | 'sequence'>): string {
  return `${finding.id}:${finding.activity}:${finding.sequence}`;
}

/** Four-digit years only: what `toISOString` writes beyond them is not RFC 3339. */
function rfc3339(timeMs: number): string | undefined {
  return timeMs >= -62_167_219_200_000 && timeMs < 253_402_300_800_000 ? new Date(timeMs).toISOString() : undefined;
}

/** Loss upstream makes a finding doubtful; a sketched value leaves it well founded but not exact. */
function confidence(finding: Finding): { confidence_id: number; confidence: string } {
  if (finding.degraded) return { confidence_id: 1, confidence: 'Low' };
  if (finding.valueError > 0 || finding.countErr > 0) return { confidence_id: 2, confidence: 'Medium' };
  return { confidence_id: 3, confidence: 'High' };
}

function findingInfo(finding: Finding): object {
  const analytic = analyticTypes[finding.detector] ?? ruleAnalytic;
  return {
    uid: finding.id,
    title: finding.title,
    types: [finding.category],
    analytic: { uid: finding.rule, name: finding.detector, type_id: analytic.id, type: analytic.name },
    first_seen_time: finding.openedMs,
    last_seen_time: finding.windowEndMs,
  };
}

function resources(key: Finding['key']): { resources?: object[] } {
  const service = key['service.name'];
  return service ? { resources: [{ name: service, type: 'service' }] } : {};
}

/**
 * What of the key OCSF has a field for. An entry is only valid with one of those objects or `data`, and `user` only with a name or uid:
 * an address alone is not enough, so it stands for the name too.
 */
function evidence(finding: Finding): object {
  const { key } = finding;
  const address = key['client.address'];
  const path = key['url.path'] || key['http.route'];
  const user = {
    ...(key['user.id'] ? { uid: key['user.id'] } : {}),
    ...(key['user.name'] || key['user.email'] ? { name: key['user.name'] || key['user.email'] } : {}),
    ...(key['user.email'] ? { email_addr: key['user.email'] } : {}),
  };
  const found = {
    ...(address ? { src_endpoint: isIp(address) ? { ip: address } : { hostname: address } } : {}),
    ...(path ? { url: { path } } : {}),
    ...(Object.keys(user).length > 0 ? { user } : {}),
  };
  if (Object.keys(found).length > 0) return found;
  return { data: { key: { ...key }, measure: finding.measure, value: jsonNumber(finding.value) } };
}

/** Good enough to choose between two fields: the bytes are the sender's and are not trusted anywhere. */
function isIp(text: string): boolean {
  return /^(?:\d{1,3}\.){3}\d{1,3}$/.test(text) || /^[0-9a-f]*:[0-9a-f:.]*:[0-9a-f.]*$/i.test(text);
}

function unmapped(finding: Finding): object {
  return {
    rule: finding.rule,
    key: { ...finding.key },
    measure: finding.measure,
    detector: finding.detector,
    value: jsonNumber(finding.value),
    valueError: jsonNumber(finding.valueError),
    ...optionalNumber('threshold', finding.threshold),
    ...optionalNumber('expected', finding.expected),
    ...optionalNumber('p', finding.p),
    ...optionalNumber('chanceRatePerDay', finding.chanceRatePerDay),
    windowStart: finding.windowStartMs,
    windowEnd: finding.windowEndMs,
    degraded: finding.degraded,
    early: finding.early,
    late: finding.late,
    evicted: finding.evicted,
    countErr: finding.countErr,
    status: finding.status,
    samples: finding.samples.map(sampleOf),
  };
}

function sampleOf(sample: Sample): object {
  return {
    topic: sample.topic,
    partition: sample.partition,
    offset: sample.offset,
    ...(sample.text === undefined ? {} : { text: sample.text }),
    ...(sample.unreadable === undefined ? {} : { unreadable: sample.unreadable }),
  };
}

function jsonNumber(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

function optionalNumber(name: string, value: number | undefined): Record<string, number | null> {
  return value === undefined ? {} : { [name]: jsonNumber(value) };
}

/**
 * A finding as it goes out: OCSF 1.8.0 Detection Finding, with streamgauge's own facts under `unmapped`. What reads findings (the console,
 * the Loki shipper, `explain`, a user's consumer) may rely on this and on nothing else. No transforms: a JSON Schema is made of it.
 */
import { z } from 'zod';

const timeMs = z.number().int();
/** Null where the number cannot be said in JSON (no data in the window). */
const measured = z.number().nullable();

export const sampleSchema = z
  .object({
    topic: z.string().describe('A Kafka topic, a file or a drain path'),
    partition: z.number().int().min(0),
    offset: z.number().int().min(0).describe('Kafka offset, byte position or journal sequence number'),
    text: z.string().optional().describe('The record, cut to 1 KiB'),
    unreadable: z.string().optional().describe('Why the text could not be read again'),
  })
  .describe('A record that led to the finding');

export const unmappedSchema = z
  .object({
    rule: z.string().min(1),
    key: z.record(z.string(), z.string()).describe("The key's fields and values; empty for `all`"),
    measure: z.string().min(1).describe('e.g. distinct(user.email)'),
    detector: z.string().min(1),
    value: measured.describe('The value that was judged'),
    valueError: measured.describe('Relative standard error of `value`; 0 = exact'),
    threshold: measured.optional(),
    expected: measured.optional(),
    p: measured.optional(),
    chanceRatePerDay: measured.optional().describe('How often chance alone gives a finding like this'),
    windowStart: timeMs.describe('ms since the epoch, inclusive'),
    windowEnd: timeMs.describe('ms since the epoch, exclusive'),
    degraded: z.boolean().describe('Loss upstream touched the window'),
    early: z.boolean().describe('Announced at the crossing record, before its pane closed'),
    late: z.number().int().min(0),
    evicted: z.number().int().min(0),
    countErr: z.number().min(0),
    status: z.enum(['dormant', 'shadow', 'live', 'retired']),
    samples: z.array(sampleSchema),
  })
  .describe("streamgauge's own facts, the same for every detector");

/** OCSF: at least one of `account`, `name` and `uid`. */
const userSchema = z.union([
  z.object({ uid: z.string(), name: z.string().optional(), email_addr: z.string().optional() }),
  z.object({ name: z.string(), email_addr: z.string().optional() }),
]);

/** OCSF demands one of the objects it lists; these are the ones streamgauge writes. */
export const evidenceSchema = z.union([
  z.object({
    src_endpoint: z.union([z.object({ ip: z.string() }), z.object({ hostname: z.string() })]),
    url: z.object({ path: z.string() }).optional(),
    user: userSchema.optional(),
  }),
  z.object({ url: z.object({ path: z.string() }), user: userSchema.optional() }),
  z.object({ user: userSchema }),
  z.object({
    data: z.object({ key: z.record(z.string(), z.string()), measure: z.string(), value: measured }),
  }),
]);

export const findingSchema = z
  .object({
    class_uid: z.literal(2004),
    class_name: z.literal('Detection Finding'),
    category_uid: z.literal(2),
    category_name: z.literal('Findings'),
    activity_id: z.union([z.literal(1), z.literal(2), z.literal(3)]).describe('1 create, 2 update, 3 close'),
    activity_name: z.enum(['Create', 'Update', 'Close']),
    type_uid: z.union([z.literal(200401), z.literal(200402), z.literal(200403)]),
    time: timeMs.describe('When it was decided, in event time, ms since the epoch'),
    severity_id: z.union([z.literal(2), z.literal(3), z.literal(4), z.literal(5)]).describe('2 low, 3 medium, 4 high, 5 critical'),
    severity: z.enum(['Low', 'Medium', 'High', 'Critical']),
    status_id: z.union([z.literal(1), z.literal(2), z.literal(4)]).describe('1 new, 2 in progress, 4 resolved'),
    status: z.enum(['New', 'In Progress', 'Resolved']),
    is_alert: z.boolean().describe('False for a rule in shadow'),
    confidence_id: z.union([z.literal(1), z.literal(2), z.literal(3)]).describe('1 degraded, 2 sketched, 3 exact'),
    confidence: z.enum(['Low', 'Medium', 'High']),
    message: z.string(),
    start_time: timeMs.describe("The window's start"),
    end_time: timeMs.describe("The window's end"),
    metadata: z.object({
      version: z.literal('1.8.0').describe('The version of OCSF'),
      product: z.object({ name: z.literal('streamgauge'), vendor_name: z.literal('streamgauge'), version: z.string().optional() }),
      uid: z.string().describe('<finding uid>:<activity>:<sequence>: equal means a repeat'),
      sequence: z.number().int().min(0).describe('0 for the opening, then counts up'),
    }),
    finding_info: z.object({
      uid: z.string().min(1).describe('Shared by open, update and close; the Kafka key'),
      title: z.string(),
      types: z.array(z.string()).describe("The rule's category"),
      analytic: z.object({
        uid: z.string().describe("The rule's id"),
        name: z.string().describe('The detector'),
        type_id: z.union([z.literal(1), z.literal(2), z.literal(3)]).describe('1 rule, 2 behavioral, 3 statistical'),
        type: z.enum(['Rule', 'Behavioral', 'Statistical']),
      }),
      first_seen_time: timeMs,
      last_seen_time: timeMs,
    }),
    resources: z.array(z.object({ name: z.string(), type: z.string() })).optional(),
    evidences: z.array(evidenceSchema).min(1),
    unmapped: unmappedSchema,
  })
  .describe('OCSF 1.8.0 Detection Finding written by streamgauge');

export type OcsfFinding = z.infer<typeof findingSchema>;

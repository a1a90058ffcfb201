/** One idempotent producer of either driver: what `KafkaWriter` needs of it. */
import { type IHeaders, type Kafka, type Message, Partitioners } from 'kafkajs';
import type { KafkaConnection } from '../source/kafka/kafka-client.ts';
import { connectionSettings, connectRd, type RdDelivery, type RdError, type Rdkafka, rdFailure } from '../source/kafka/rdkafka-client.ts';

/** Offset behind the last message that was written, by partition. */
export type TopicEnds = ReadonlyMap<number, number>;

export interface KafkaProducer {
  /**
   * Resolves when every in-sync replica has them, in order per partition, with where they end. Rejects if one of them cannot be written;
   * what of the others was written is not known then.
   */
  send(topic: string, messages: readonly Message[]): Promise<TopicEnds>;
  disconnect(): Promise<void>;
}

/** How long librdkafka tries to deliver by itself; retries past that are ours, with a bound. */
const deliverForMs = 10_000;
/** How often delivery reports are asked for. */
const pollMs = 5;

export async function connectKafkajs(kafka: Kafka): Promise<KafkaProducer> {
  /** Which partition a message was sent to: an acknowledgement names the first offset of each alone. Asked again for every retry. */
  let places = new Map<Message, number>();
  const producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    createPartitioner: () => {
      const choose = Partitioners.DefaultPartitioner();
      return (asked) => {
        const partition = choose(asked);
        places.set(asked.message, partition);
        return partition;
      };
    },
    // Few, because the bound is ours (`persist`).
    retry: { retries: 4 },
  });
  await producer.connect();
  return {
    send: async (topic, messages) => {
      places = new Map();
      const acknowledged = await producer.send({ topic, acks: -1, messages: [...messages] });
      const counts = new Map<number, number>();
      for (const partition of places.values()) counts.set(partition, (counts.get(partition) ?? 0) + 1);
      return new Map(
        acknowledged.flatMap(({ partition, baseOffset = '-1' }) =>
          Number(baseOffset) < 0 ? [] : [[partition, Number(baseOffset) + (counts.get(partition) ?? 0)]],
        ),
      );
    },
    disconnect: () => producer.disconnect(),
  };
}

export async function connectRdkafka(rdkafka: Rdkafka, connection: KafkaConnection): Promise<KafkaProducer> {
  const settings = {
    ...connectionSettings(connection),
    'enable.idempotence': true,
    dr_cb: true,
    // The broker says what is too large, as it does to kafkajs.
    'message.max.bytes': 100_000_000,
    'queue.buffering.max.ms': 0,
  };
  // The partitioner of the Java client, and of kafkajs: a key lies where it lay before the driver was changed.
  const producer = new rdkafka.Producer(settings, { 'message.timeout.ms': deliverForMs, partitioner: 'murmur2_random' });
  /** Ends the send in progress. */
  let report: (error: RdError | null, delivery: RdDelivery) => void = () => undefined;
  producer.on('event.error', ({ message }) => connection.log?.debug({ librdkafka: 'producer' }, message));
  producer.on('event.log', ({ fac, message }) => connection.log?.debug({ librdkafka: fac }, message));
  producer.on('delivery-report', (error, delivery) => report(error, delivery));
  await connectRd(producer, connection, deliverForMs);
  producer.setPollInterval(pollMs);
  let sends = 0;
  return {
    send: (topic, messages) =>
      new Promise((resolve, reject) => {
        const ends = new Map<number, number>();
        if (messages.length === 0) return resolve(ends);
        const send = ++sends;
        let open = messages.length;
        let failure: Error | undefined;
        const settle = (error: RdError | null | undefined) => {
          if (error) failure ??= rdFailure(error);
          if (--open > 0) return;
          if (failure) reject(failure);
          else resolve(ends);
        };
        report = (error, { opaque, partition, offset }) => {
          if (opaque !== send) return;
          if (!error && offset >= 0) ends.set(partition, Math.max(ends.get(partition) ?? 0, offset + 1));
          settle(error);
        };
        for (const { key = null, value, partition = null, timestamp, headers = {} } of messages) {
          try {
            const bytes = typeof value === 'string' ? Buffer.from(value) : value;
            producer.produce(topic, partition, bytes, key, timestamp === undefined ? null : Number(timestamp), send, headersOf(headers));
          } catch (error) {
            settle(error as RdError);
          }
        }
      }),
    // 0: what is not delivered by now has failed, and is written again by the next producer.
    disconnect: () => new Promise((resolve) => producer.disconnect(0, () => resolve())),
  };
}

/** node-rdkafka ends a value at its first NUL, so none may be in it. */
function headersOf(headers: IHeaders): Record<string, string>[] {
  return Object.entries(headers).flatMap(([name, values]) =>
    [values ?? []].flat().map((value) => ({ [name]: value.toString().replaceAll('\0', '\ufffd') })),
  );
}

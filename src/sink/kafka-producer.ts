/** One idempotent producer of either driver: what `KafkaWriter` needs of it. */
import { type IHeaders, type Kafka, type Message, Partitioners } from 'kafkajs';
import type { KafkaConnection } from '../source/kafka/kafka-client.ts';
import { connectionSettings, connectRd, type RdError, type Rdkafka, rdFailure } from '../source/kafka/rdkafka-client.ts';

export interface KafkaProducer {
  /** Resolves when every in-sync replica has them, in order per partition. Rejects if one of them cannot be written. */
  send(topic: string, messages: readonly Message[]): Promise<void>;
  disconnect(): Promise<void>;
}

/** How long librdkafka tries to deliver by itself; retries past that are ours, with a bound. */
const deliverForMs = 10_000;
/** How often delivery reports are asked for. */
const pollMs = 5;

export async function connectKafkajs(kafka: Kafka): Promise<KafkaProducer> {
  const producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    createPartitioner: Partitioners.DefaultPartitioner,
    // Few, because the bound is ours (`persist`).
    retry: { retries: 4 },
  });
  await producer.connect();
  return {
    send: async (topic, messages) => {
      await producer.send({ topic, acks: -1, messages: [...messages] });
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
  let report: (error: RdError | null, opaque: unknown) => void = () => undefined;
  producer.on('event.error', ({ message }) => connection.log?.debug({ librdkafka: 'producer' }, message));
  producer.on('event.log', ({ fac, message }) => connection.log?.debug({ librdkafka: fac }, message));
  producer.on('delivery-report', (error, { opaque }) => report(error, opaque));
  await connectRd(producer, deliverForMs);
  producer.setPollInterval(pollMs);
  let sends = 0;
  return {
    send: (topic, messages) =>
      new Promise((resolve, reject) => {
        if (messages.length === 0) return resolve();
        const send = ++sends;
        let open = messages.length;
        let failure: Error | undefined;
        const settle = (error: RdError | null | undefined) => {
          if (error) failure ??= rdFailure(error);
          if (--open > 0) return;
          if (failure) reject(failure);
          else resolve();
        };
        report = (error, opaque) => {
          if (opaque === send) settle(error);
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

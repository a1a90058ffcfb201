/**
 * Which Kafka client is used, and why. `rdkafka` is librdkafka behind node-rdkafka, an optional dependency that is compiled when it is
 * installed: where it loads, `auto` takes it. Of a source it is the member of the group, of a sink the producer; what needs no group (the
 * places to begin, samples, bounded replays) is read by kafkajs with either.
 */
import { UsageError } from '../../errors.ts';
import type { KafkaDriver, KafkaDriverWish } from './kafka-client.ts';
import { loadRdkafka, type Rdkafka } from './rdkafka-client.ts';

export interface DriverChoice {
  readonly driver: KafkaDriver;
  /** Why this one. */
  readonly reason: string;
  /** The module, of rdkafka. */
  readonly rdkafka?: Rdkafka;
}

/** What only one of the two can do; each is undefined where it is not asked for. */
export interface DriverNeeds {
  readonly instanceId?: string;
  readonly protocol?: 'classic' | 'consumer';
  readonly tls?: boolean | { readonly servername?: string };
  readonly sasl?: { readonly mechanism: string };
}

/** Throws a UsageError if what is asked for cannot be had. */
export function chooseDriver(wish: KafkaDriverWish, needs: DriverNeeds, load = loadRdkafka): DriverChoice {
  const onlyRdkafka = [
    ...(needs.instanceId === undefined ? [] : ['`instanceId`']),
    ...(needs.protocol === 'consumer' ? ['`protocol: consumer`'] : []),
  ].join(' and ');
  if (wish === 'kafkajs') {
    if (onlyRdkafka !== '') throw new UsageError([`${onlyRdkafka}: expected \`driver: rdkafka\` or auto, found kafkajs, which has it not`]);
    return { driver: 'kafkajs', reason: 'the config says so' };
  }
  const found = load();
  const obstacle =
    found.module === undefined
      ? `node-rdkafka does not load: ${found.reason}`
      : typeof needs.tls === 'object' && needs.tls.servername !== undefined
        ? 'librdkafka has no `tls.servername`'
        : needs.tls && !found.module.features.includes('ssl')
          ? 'node-rdkafka was built without OpenSSL, and tls is asked for'
          : needs.sasl?.mechanism === 'oauthbearer' && !found.module.features.includes('sasl_oauthbearer')
            ? 'node-rdkafka was built without OpenSSL, and oauthbearer is asked for'
            : undefined;
  if (obstacle === undefined && found.module !== undefined) {
    const reason = `${wish === 'auto' ? 'it loads' : 'the config says so'}; librdkafka ${found.module.librdkafkaVersion}`;
    return { driver: 'rdkafka', reason, rdkafka: found.module };
  }
  if (wish === 'rdkafka') throw new UsageError([`driver: rdkafka: ${obstacle}; use driver kafkajs, or ${howToBuild}`]);
  if (onlyRdkafka !== '') throw new UsageError([`${onlyRdkafka}: expected driver rdkafka, but ${obstacle}; ${howToBuild}`]);
  return { driver: 'kafkajs', reason: obstacle ?? '' };
}

const howToBuild = 'install a C++ compiler, make, Python and the headers of OpenSSL, and run `npm rebuild node-rdkafka`';

/** The drivers that load here: suites run over each. `test/integration/kafka-drivers.test.ts` fails where one should load and does not. */
import type { KafkaDriver } from '../../src/source/kafka/kafka-client.ts';
import { loadRdkafka } from '../../src/source/kafka/rdkafka-client.ts';

const { module, reason } = loadRdkafka();
if (module === undefined) console.log(`skipped: everything over rdkafka: node-rdkafka does not load: ${reason}`);

export const kafkaDrivers: readonly KafkaDriver[] = module === undefined ? ['kafkajs'] : ['kafkajs', 'rdkafka'];

/** The end of a session that nobody waits for: a broker is told that the members of a group that it still knows have left. */
import { Kafka, logLevel } from 'kafkajs';
import { createConsumer } from '../../src/source/kafka/kafka-client.ts';

interface LeaveGroup {
  leaveGroup(member: { readonly groupId: string; readonly memberId: string }): Promise<unknown>;
}

/** What `AdminClient.removeMembersFromConsumerGroup` does; kafkajs has the request, and no command for it. */
export async function dismissMembers(brokers: readonly string[], groupId: string): Promise<number> {
  const kafka = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING, retry: { retries: 20 } });
  const admin = kafka.admin();
  const { consumer, cluster } = createConsumer(kafka, { groupId: 'torture-unused' });
  try {
    await admin.connect();
    const { groups } = await admin.describeGroups([groupId]);
    const members = groups.flatMap((group) => group.members);
    await cluster.connect();
    // Its types leave the request out.
    const coordinator = (await cluster.findGroupCoordinator({ groupId })) as unknown as LeaveGroup;
    for (const { memberId } of members) await coordinator.leaveGroup({ groupId, memberId });
    return members.length;
  } finally {
    await admin.disconnect();
    await consumer.disconnect();
  }
}

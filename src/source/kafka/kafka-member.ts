/**
 * A kafkajs consumer that is a member of a group.
 *
 * Rebalances: kafkajs is an eager member, it gives up everything and gets some of it back. Each time it is about to join again it looks
 * up the group's coordinator first, and that call is held until the engine has handed back (`RecordIntake.revoked`); the old generation
 * is valid until then, so the engine's commits count. The limits: the broker waits for at most `rebalanceTimeoutMs`; and a member whose
 * session has already ended (a process that was asleep) has lost its partitions before it knows, its commits are refused, and the new
 * owner reads those records again.
 */
import type { Broker, Consumer, Kafka } from 'kafkajs';
import { createConsumer } from './kafka-client.ts';
import { type KafkaSourceOptions, rebalanceTimeoutMsDefault, sessionTimeoutMsDefault, topicRefreshMsDefault } from './kafka-options.ts';

export interface MemberEvents {
  /** Awaited before every join; a rejection fails the join and the consumer. */
  beforeJoin(): Promise<void>;
  joined(memberId: string, assignment: Record<string, number[]>): void;
  /** The group's coordinator answered a heartbeat. */
  alive(): void;
  /** A whole fetch held nothing to see (markers, aborted transactions); kafkajs goes on behind `lastOffset`. */
  unseen(topic: string, partition: number, lastOffset: string): void;
}

export interface Member {
  readonly consumer: Consumer;
  /** Settles with the error kafkajs gave up with. */
  readonly crashed: Promise<unknown>;
}

/** kafkajs has this request, its types do not. */
interface LeavesGroups {
  leaveGroup(request: { groupId: string; memberId: string }): Promise<unknown>;
}

/**
 * `formerMemberId`: who we were before kafkajs gave up. That member still counts, and the group would wait for it until its session ends,
 * so it leaves before we join; if that fails, we wait.
 */
export function createMember(kafka: Kafka, options: KafkaSourceOptions, formerMemberId: string | undefined, events: MemberEvents): Member {
  const { consumer, cluster } = createConsumer(kafka, {
    groupId: options.group,
    sessionTimeout: options.sessionTimeoutMs ?? sessionTimeoutMsDefault,
    rebalanceTimeout: options.rebalanceTimeoutMs ?? rebalanceTimeoutMsDefault,
    heartbeatInterval: heartbeatMs(options),
    metadataMaxAge: options.topicRefreshMs ?? topicRefreshMsDefault,
    // How long a fetch may wait, and so how long a stop may take.
    maxWaitTimeInMs: 500,
    // Restarting is ours: kafkajs would do it without a bound.
    retry: { retries: 4, restartOnFailure: () => Promise.resolve(false) },
  });
  let former = formerMemberId;
  const find = cluster.findGroupCoordinator.bind(cluster);
  cluster.findGroupCoordinator = async (asked) => {
    await events.beforeJoin();
    const coordinator = await find(asked);
    if (former !== undefined) {
      const memberId = former;
      former = undefined;
      await (coordinator as Broker & LeavesGroups).leaveGroup({ groupId: options.group, memberId }).catch(() => undefined);
    }
    return coordinator;
  };
  const crashed = new Promise<unknown>((resolve) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => resolve(payload.error));
  });
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => events.joined(payload.memberId, payload.memberAssignment));
  // An answered heartbeat is the sign that all is well: single requests succeed in many a half outage.
  consumer.on(consumer.events.HEARTBEAT, () => events.alive());
  consumer.on(consumer.events.START_BATCH_PROCESS, ({ payload }) => {
    if (payload.batchSize === 0) events.unseen(payload.topic, payload.partition, payload.lastOffset);
  });
  return { consumer, crashed };
}

/** A third of the session, as Kafka recommends, and at most 3 s. */
export function heartbeatMs(options: KafkaSourceOptions): number {
  return Math.min(3_000, Math.floor((options.sessionTimeoutMs ?? sessionTimeoutMsDefault) / 3));
}

import type { DeploymentCardFragment } from '@/gql/generated/graphql';
import { phaseLabel, phaseOrder, phaseStrip } from '@/lib/phases';
import classes from './PhaseStrip.module.css';

const width = 9;
const gap = 2;
const height = 10;

/** The steps of a deployment at a glance: passed full, the present one tall, those to come low. */
export function PhaseStrip({ card, stale }: { card: DeploymentCardFragment; stale: boolean }) {
  const order = phaseOrder(card.provider);
  const { steps, at } = phaseStrip(card);
  const phase = at === null ? null : order[at];
  const where = at === null || phase === undefined || phase === null ? phaseLabel(card.phase, card.phaseKey) : `Step ${at + 1} of ${order.length}: ${phaseLabel(phase, card.phaseKey)}`;
  const total = order.length * (width + gap) - gap;
  return (
    <svg className={classes.strip} data-stale={stale || undefined} viewBox={`0 0 ${total} ${height}`} width={total} height={height} role="img" aria-label={where}>
      {steps.map((step, i) => {
        const low = step === 'todo' || step === 'stopped';
        const full = step === 'now' || step === 'failed';
        return (
          <rect
            key={order[i]}
            data-step={step}
            x={i * (width + gap)}
            y={full ? 0 : low ? 4 : 2.5}
            width={width}
            height={full ? height : low ? 2 : 5}
            rx="1"
          />
        );
      })}
    </svg>
  );
}

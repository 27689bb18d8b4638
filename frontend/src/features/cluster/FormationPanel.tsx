import { Link } from '@tanstack/react-router';

import { Command, Instant, Panel, StatusMark } from '@/ui';
import classes from './ClusterPage.module.css';
import { formationStatus, formationTitle, type Formation } from './words';

type Named = Formation['members'][number];

/** How the cluster was, or is being, made: by whom, with what, and what that rests on. */
export function FormationPanel({ formation }: { formation: Formation | null }) {
  if (formation === null) {
    return (
      <Panel title="Formation" flush>
        <p className={classes.none}>It begins when every node is at the barrier. The first node’s controller VM makes the cluster.</p>
      </Panel>
    );
  }
  const { kind, word } = formationStatus(formation.status);
  const { leader, members, culprits, command, evidence, hint } = formation;
  return (
    <Panel title={formationTitle(formation.kind)} tone={formation.status === 'FAILED' ? 'failed' : 'plain'} actions={<Instant at={formation.at} className={classes.quiet} />}>
      <div className={classes.line}>
        <StatusMark kind={kind} word={word} live={formation.status === 'RUNNING'} />
        <code className={classes.code}>{formation.reason === '' ? formation.action : formation.reason}</code>
      </div>
      <p className={classes.message}>{formation.message}</p>
      {hint === null || hint === '' ? null : (
        <p className={classes.hint}>
          <strong>What to do:</strong> {hint}
        </p>
      )}
      <dl className={classes.pairs}>
        <div>
          <dt>Made by</dt>
          <dd>{leader === null ? 'a node that is no longer known' : <Nodes list={[leader]} />}</dd>
        </div>
        <div>
          <dt>Members</dt>
          <dd>
            <Nodes list={members} />
          </dd>
        </div>
        {culprits.length === 0 ? null : (
          <div>
            <dt>It is about</dt>
            <dd>
              <Nodes list={culprits} />
            </dd>
          </div>
        )}
        <div>
          <dt>Since</dt>
          <dd>
            <Instant at={formation.since} />
          </dd>
        </div>
        {command === null || command === '' ? null : (
          <div>
            <dt>Command</dt>
            <dd>
              <Command label="Command on the controller VM">{command}</Command>
            </dd>
          </div>
        )}
      </dl>
      {evidence.length === 0 ? null : (
        <details className={classes.details} open>
          <summary>What it rests on</summary>
          <pre className={classes.log} tabIndex={0} role="region" aria-label="Evidence of the formation">
            {evidence.join('\n')}
          </pre>
        </details>
      )}
    </Panel>
  );
}

function Nodes({ list }: { list: readonly Named[] }) {
  return list.map(({ id, name }, i) => (
    <span key={id}>
      {i === 0 ? '' : ', '}
      <Link to="/nodes/$nodeId" params={{ nodeId: id }}>
        {name}
      </Link>
    </span>
  ));
}

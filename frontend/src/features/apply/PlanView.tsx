import type { PlanRowFragment } from '@/gql/generated/graphql';
import { plural } from '@/lib/format';
import { DocumentView } from '@/script/DocumentView';
import { StatusMark } from '@/ui';
import classes from './Card.module.css';

const words: Record<PlanRowFragment['action'], string> = { CREATE: 'a new file', REPLACE: 'replaces the node’s file', UNCHANGED: 'the file has this content already' };

/** What applying a card would write: name, number, exact content, and what differs from the last one. */
export function PlanView({ plan }: { plan: PlanRowFragment }) {
  return (
    <details className={classes.plan}>
      <summary>
        File <code>{plan.file}</code>, number {plan.number}: {words[plan.action]}
        {plan.changes.length === 0 ? '' : `, ${plural(plan.changes.length, 'difference')}`}
      </summary>
      <div className={classes.planBody}>
        {plan.changedOutside ? (
          <p className={classes.outside}>
            <StatusMark kind="stalled" word="Changed outside" /> The file that is there is not what was applied last: somebody else wrote it. Applying replaces it.
          </p>
        ) : null}
        {plan.changes.length === 0 ? null : (
          <table className={classes.changes} aria-label={`What changes in ${plan.file}`}>
            <thead>
              <tr>
                <th scope="col">Value</th>
                <th scope="col">Before</th>
                <th scope="col">After</th>
              </tr>
            </thead>
            <tbody>
              {plan.changes.map(({ path, kind, before, after }) => (
                <tr key={path} data-kind={kind}>
                  <th scope="row">{path === '' ? 'the whole' : path}</th>
                  <td>{before === null ? <span className={classes.quiet}>not there</span> : <del>{before}</del>}</td>
                  <td>{after === null ? <span className={classes.quiet}>gone</span> : <ins>{after}</ins>}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
        <DocumentView label={`Content of ${plan.file}`} content={plan.content} before={null} />
        <p className={classes.quiet}>
          For {plan.nodeName}
          {plan.target === null ? '' : `, which will be asked at ${plan.target}`}. Exactly this is written.
        </p>
      </div>
    </details>
  );
}

import { useQuery } from '@apollo/client/react';
import { useState } from 'react';

import { announce } from '@/app/announcer';
import { problemsOf, useVerb } from '@/gql/client/ask';
import { EndSessionDocument, SessionsDocument, type SessionsQuery } from '@/gql/generated/graphql';
import { Button, EmptyState, Instant, Panel, Problems } from '@/ui';
import { ActionDialog, Effects } from '@/verbs/shared';
import { makerName, roleWord } from './roles';
import classes from './SettingsPage.module.css';
import { SignInDialog } from './SignInDialog';

type Session = SessionsQuery['sessions'][number];

/** The browsers that people are signed in with. For administrators. */
export function SessionsPanel() {
  const { data, error, refetch } = useQuery(SessionsDocument, { fetchPolicy: 'cache-and-network' });
  const [inviting, setInviting] = useState(false);
  const [ending, setEnding] = useState<Session | null>(null);
  const sessions = data?.sessions ?? [];
  return (
    <Panel
      title="Signed-in browsers"
      flush
      actions={
        <Button size="compact-xs" onClick={() => setInviting(true)}>
          Sign-in link…
        </Button>
      }
    >
      {data === undefined && error ? (
        <div className={classes.inside}>
          <Problems title="The sessions could not be read" problems={problemsOf(error)} />
          <Button size="xs" variant="default" className={classes.again} onClick={() => void refetch().catch(() => undefined)}>
            Try again
          </Button>
        </div>
      ) : null}
      {data === undefined && !error ? <div className={classes.loading} role="status" aria-label="Loading the sessions" /> : null}
      {data !== undefined && sessions.length === 0 ? <EmptyState title="No browser is signed in" /> : null}
      {sessions.length > 0 ? (
        <div className={classes.scroll} tabIndex={0} role="region" aria-label="Signed-in browsers, as a table">
          <table className={classes.table}>
            <thead>
              <tr>
                <th scope="col">Who</th>
                <th scope="col">Role</th>
                <th scope="col">Signed in</th>
                <th scope="col">Last used</th>
                <th scope="col">Ends if unused</th>
                <th scope="col">Actions</th>
              </tr>
            </thead>
            <tbody>
              {sessions.map((each) => (
                <tr key={each.id}>
                  <th scope="row">
                    {each.name}
                    {each.current ? <span className={classes.tag}>this one</span> : null}
                  </th>
                  <td>{roleWord(each.role)}</td>
                  <td>
                    <Instant at={each.createdAt} /> <span className={classes.quiet}>by a link from {makerName(each.createdBy)}</span>
                  </td>
                  <td>
                    <Instant at={each.lastUsedAt} />
                  </td>
                  <td>
                    <Instant at={each.expiresAt} />
                  </td>
                  <td>
                    {each.current ? null : (
                      <Button size="compact-xs" variant="default" className={classes.destroys} aria-label={`End the session of ${each.name}`} onClick={() => setEnding(each)}>
                        End…
                      </Button>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : null}
      {inviting ? <SignInDialog onClose={() => setInviting(false)} /> : null}
      {ending === null ? null : (
        <EndDialog
          key={ending.id}
          session={ending}
          onClose={() => setEnding(null)}
          onEnded={() => {
            setEnding(null);
            void refetch().catch(() => undefined);
          }}
        />
      )}
    </Panel>
  );
}

function EndDialog({ session, onClose, onEnded }: { session: Session; onClose: () => void; onEnded: () => void }) {
  const verb = useVerb(EndSessionDocument);
  return (
    <ActionDialog
      title={`End the session of ${session.name}`}
      verb={verb}
      does="End it"
      destroys
      onDo={() =>
        void verb.run({ input: { id: session.id } }).then((answer) => {
          if (!answer) return;
          announce(`The session of ${session.name} has ended`);
          onEnded();
        })
      }
      onClose={onClose}
    >
      <Effects>
        <li>That browser is signed out within seconds.</li>
        <li>They need another sign-in link to come back.</li>
      </Effects>
    </ActionDialog>
  );
}

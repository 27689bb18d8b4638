import { useQuery } from '@apollo/client/react';
import { useState, type ReactNode } from 'react';

import { announce } from '@/app/announcer';
import { problemsOf, useVerb } from '@/gql/client/ask';
import { ApiTokensDocument, RevokeApiTokenDocument, type TokenRowFragment } from '@/gql/generated/graphql';
import { Button, Command, EmptyState, Instant, Panel, Problems, StatusMark } from '@/ui';
import { ActionDialog, Effects } from '@/verbs/shared';
import { CreateTokenDialog } from './CreateTokenDialog';
import { makerName, roleWord } from './roles';
import classes from './SettingsPage.module.css';

export interface TokensPanelProps {
  /** Those that were revoked or have expired as well. */
  ended: boolean;
  onEnded: (ended: boolean) => void;
  /** What stands below it: shown once its own height is known, so that nothing jumps. */
  children?: ReactNode;
}

/** The secrets that programs identify themselves with. For administrators. */
export function TokensPanel({ ended, onEnded, children }: TokensPanelProps) {
  const { data, error, refetch } = useQuery(ApiTokensDocument, { fetchPolicy: 'cache-and-network' });
  const [creating, setCreating] = useState(false);
  const [revoking, setRevoking] = useState<TokenRowFragment | null>(null);
  const tokens = data?.apiTokens ?? [];
  const over = tokens.filter(({ active }) => !active).length;
  const shown = tokens.filter(({ active }) => ended || active);
  return (
    <>
      <div className={classes.below}>
        <Panel
          title="API tokens"
          flush
          actions={
            <>
              {over > 0 ? (
                <Button size="compact-xs" variant="default" aria-pressed={ended} onClick={() => onEnded(!ended)}>
                  {ended ? 'Hide' : 'Show'} {over.toLocaleString('en')} ended
                </Button>
              ) : null}
              <Button size="compact-xs" onClick={() => setCreating(true)}>
                New token…
              </Button>
            </>
          }
        >
          {data === undefined && error ? (
            <div className={classes.inside}>
              <Problems title="The tokens could not be read" problems={problemsOf(error)} />
          <Button size="xs" variant="default" className={classes.again} onClick={() => void refetch().catch(() => undefined)}>
            Try again
          </Button>
            </div>
          ) : null}
          {data === undefined && !error ? <div className={classes.loading} role="status" aria-label="Loading the tokens" /> : null}
          {data !== undefined && shown.length === 0 ? (
            <EmptyState title={tokens.length === 0 ? 'No tokens yet' : 'No valid tokens'}>
              <p>Programs need one to use REST, GraphQL or the command line. On the server’s own host it is also made by:</p>
              <Command label="Command that makes a token">slipway token create ci --role=operator</Command>
            </EmptyState>
          ) : null}
          {shown.length > 0 ? <Tokens tokens={shown} onRevoke={setRevoking} /> : null}
          {creating ? <CreateTokenDialog onClose={() => setCreating(false)} onCreated={() => void refetch().catch(() => undefined)} /> : null}
          {revoking === null ? null : <RevokeDialog key={revoking.id} token={revoking} onClose={() => setRevoking(null)} />}
        </Panel>
      </div>
      {data !== undefined || error ? <div className={classes.below}>{children}</div> : null}
    </>
  );
}

function Tokens({ tokens, onRevoke }: { tokens: readonly TokenRowFragment[]; onRevoke: (token: TokenRowFragment) => void }) {
  return (
    <div className={classes.scroll} tabIndex={0} role="region" aria-label="API tokens, as a table">
      <table className={classes.table}>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Role</th>
            <th scope="col">State</th>
            <th scope="col">Last used</th>
            <th scope="col">Ends</th>
            <th scope="col">Made</th>
            <th scope="col">Actions</th>
          </tr>
        </thead>
        <tbody>
          {tokens.map((token) => (
            <tr key={token.id}>
              <th scope="row">
                {token.name}
                {token.current ? <span className={classes.tag}>yours</span> : null}
              </th>
              <td>{roleWord(token.role)}</td>
              <td>
                <StatusMark kind={token.active ? 'succeeded' : token.revokedAt === null ? 'late' : 'canceled'} word={token.active ? 'Active' : token.revokedAt === null ? 'Expired' : 'Revoked'} />
              </td>
              <td>{token.lastUsedAt === null ? <span className={classes.quiet}>never</span> : <Instant at={token.lastUsedAt} />}</td>
              <td>{token.revokedAt !== null ? <Instant at={token.revokedAt} /> : token.expiresAt === null ? <span className={classes.quiet}>when revoked</span> : <Instant at={token.expiresAt} />}</td>
              <td>
                <Instant at={token.createdAt} /> <span className={classes.quiet}>by {makerName(token.createdBy)}</span>
              </td>
              <td>
                {token.active ? (
                  <Button size="compact-xs" variant="default" className={classes.destroys} aria-label={`Revoke ${token.name}`} onClick={() => onRevoke(token)}>
                    Revoke…
                  </Button>
                ) : null}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function RevokeDialog({ token, onClose }: { token: TokenRowFragment; onClose: () => void }) {
  const verb = useVerb(RevokeApiTokenDocument);
  return (
    <ActionDialog
      title={`Revoke ${token.name}`}
      verb={verb}
      does="Revoke"
      destroys
      onDo={() =>
        void verb.run({ input: { id: token.id } }).then((answer) => {
          if (!answer) return;
          announce(`Token ${token.name} was revoked`);
          onClose();
        })
      }
      onClose={onClose}
    >
      <Effects>
        <li>Whoever uses it is refused within seconds, and what they have open ends.</li>
        <li>It cannot be taken back: they need another token.</li>
        <li>
          {token.lastUsedAt === null ? (
            'It was never used.'
          ) : (
            <>
              It was last used <Instant at={token.lastUsedAt} />.
            </>
          )}
        </li>
      </Effects>
    </ActionDialog>
  );
}

import { useQuery } from '@apollo/client/react';
import { useNavigate, useSearch } from '@tanstack/react-router';
import type { ReactNode } from 'react';

import { session, signOut, useMay } from '@/app/session';
import { Appearance } from '@/app/SettingsMenu';
import { useStream } from '@/app/services';
import { useTitle } from '@/app/useTitle';
import { problemsOf } from '@/gql/client/ask';
import { ServerInfoDocument } from '@/gql/generated/graphql';
import { formatDuration } from '@/lib/format';
import { useStore } from '@/lib/store';
import { Button, Command, Instant, Panel, Problems } from '@/ui';
import { roleMeaning } from './roles';
import { parseSettingsSearch, type SettingsSearch } from './search';
import { SessionsPanel } from './SessionsPanel';
import classes from './SettingsPage.module.css';
import { TokensPanel } from './TokensPanel';

/** Who is signed in, how the app looks, which server this is, and how others get in. */
export function SettingsPage() {
  const search = parseSettingsSearch(useSearch({ strict: false }));
  const navigate = useNavigate();
  return <Settings search={search} change={(next) => void navigate({ to: '/settings', search: next, replace: true })} />;
}

/** The page, with its URL given. */
export function Settings({ search, change }: { search: SettingsSearch; change: (next: SettingsSearch) => void }) {
  useTitle('Settings');
  const manages = useMay('admin');
  return (
    <>
      <h1 className={classes.title}>Settings</h1>
      <div className={classes.columns}>
        <Account />
        <Panel title="Appearance">
          <Appearance />
        </Panel>
        <Server />
      </div>
      {manages ? (
        <TokensPanel ended={search.ended === true} onEnded={(ended) => change(ended ? { ended: true } : {})}>
          <SessionsPanel />
        </TokensPanel>
      ) : (
        <Access />
      )}
    </>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className={classes.fact}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Account() {
  const who = useStore(session);
  if (who.status !== 'signed-in') return null;
  return (
    <Panel title="Signed in" actions={<Button size="compact-xs" variant="default" onClick={() => void signOut()}>Sign out</Button>}>
      <dl className={classes.facts}>
        <Fact name="Name">{who.name}</Fact>
        <Fact name="Role">
          {who.role} <span className={classes.quiet}>{(roleMeaning as Partial<Record<string, string>>)[who.role.toUpperCase()] ?? ''}</span>
        </Fact>
        <Fact name="Until">
          <Instant at={who.expiresAt} />
        </Fact>
      </dl>
    </Panel>
  );
}

/** How others get in, for those who may not let them in here. */
function Access() {
  return (
    <div className={classes.below}>
      <Panel title="Access for others">
        <div className={classes.commands}>
          <p className={classes.quiet}>Administrators make and take back tokens and sign-in links on this page. On the server’s own host they are made by:</p>
          <div>
            <p className={classes.label}>A link for a person, good once</p>
            <Command label="Command that makes a sign-in link">slipway token signin ada --role=operator</Command>
          </div>
          <div>
            <p className={classes.label}>A token for a program; it is shown once</p>
            <Command label="Command that makes a token">slipway token create ci --role=operator</Command>
          </div>
        </div>
      </Panel>
    </div>
  );
}

function Server() {
  const { data, error, refetch } = useQuery(ServerInfoDocument, { fetchPolicy: 'cache-and-network' });
  const { mode, asOf } = useStore(useStream().status);
  const info = data?.serverInfo;
  return (
    <Panel title="Server">
      {info === undefined && error ? (
        <div className={classes.failed}>
          <Problems title="The server did not say" problems={problemsOf(error)} />
          <Button size="xs" variant="default" className={classes.again} onClick={() => void refetch().catch(() => undefined)}>
            Try again
          </Button>
        </div>
      ) : null}
      <dl className={classes.facts}>
        <Fact name="Version">{info?.version ?? '–'}</Fact>
        <Fact name="Schema">
          <span className={classes.mono} title={info?.schemaHash}>
            {info?.schemaHash.slice(0, 12) ?? '–'}
          </span>
        </Fact>
        <Fact name="Replay">{info === undefined ? '–' : info.streamRetention === null ? 'all events' : `events of the last ${formatDuration(info.streamRetention)}`}</Fact>
        <Fact name="Connection">
          {mode}
          {asOf === null ? null : (
            <span className={classes.quiet}>
              , as of <Instant at={asOf} />
            </span>
          )}
        </Fact>
        <Fact name="Interface">
          <a href="/api/openapi.json">OpenAPI document</a>
        </Fact>
      </dl>
    </Panel>
  );
}

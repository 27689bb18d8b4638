import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';

import { announce } from '@/app/announcer';
import { useVerb } from '@/gql/client/ask';
import { AdoptDocument, type AdoptMutation, type AdoptServerInput } from '@/gql/generated/graphql';
import { resourceKind } from '@/lib/resources';
import { Button, Panel, Problems, TextInput } from '@/ui';
import { fieldError } from './fieldError';
import classes from './DeployPage.module.css';
import { parseLabels } from './order';

type Found = NonNullable<AdoptMutation['answer']['found']>;

interface Form {
  server: string;
  name: string;
  clusterName: string;
  labels: string;
}

const inputOf = ({ server, name, clusterName, labels }: Form, dryRun: boolean): AdoptServerInput => ({
  server: server.trim(),
  name: name.trim(),
  clusterName: clusterName.trim() === '' ? null : clusterName.trim(),
  labels: parseLabels(labels),
  dryRun,
});

/** Takes a server into care that Slipway did not make: first it is looked at, then adopted. Nothing of it is changed. */
export function AdoptForm() {
  const navigate = useNavigate();
  const look = useVerb(AdoptDocument);
  const adopt = useVerb(AdoptDocument);
  const [form, setForm] = useState<Form>({ server: '', name: '', clusterName: '', labels: '' });
  const [found, setFound] = useState<{ of: Form; server: Found } | null>(null);
  const said = [...adopt.problems, ...look.problems];
  const set = (change: Partial<Form>): void => {
    setForm({ ...form, ...change });
    look.forget();
    adopt.forget();
  };
  const search = async (): Promise<void> => {
    adopt.forget();
    const answer = await look.run({ input: inputOf(form, true) });
    setFound(answer?.found == null ? null : { of: form, server: answer.found });
  };
  const take = async (): Promise<void> => {
    const answer = await adopt.run({ input: inputOf(form, false) });
    if (!answer?.bareMetalNode) return;
    announce(`${form.name.trim()} was adopted`);
    void navigate({ to: '/nodes/$nodeId', params: { nodeId: answer.bareMetalNode.id } });
  };
  const fresh = found !== null && found.of === form;
  return (
    <div className={classes.columns}>
      <Panel title="Which server">
        <form
          className={classes.form}
          aria-label="Server to adopt"
          onSubmit={(event) => {
            event.preventDefault();
            void search();
          }}
        >
          <TextInput label="Server" description="Its id at IBM Cloud VPC, or its name there" required withAsterisk={false} spellCheck={false} value={form.server} error={fieldError(said, 'server')} onChange={(event) => set({ server: event.currentTarget.value })} />
          <TextInput label="Name of the node" description="Lower-case letters, digits and hyphens, at most 40" required withAsterisk={false} spellCheck={false} maxLength={63} value={form.name} error={fieldError(said, 'name')} onChange={(event) => set({ name: event.currentTarget.value })} />
          <TextInput label="Cluster" description="Left empty: stand-alone" value={form.clusterName} error={fieldError(said, 'clusterName')} onChange={(event) => set({ clusterName: event.currentTarget.value })} />
          <TextInput label="Labels" description="For example row=7, site=fra" value={form.labels} error={fieldError(said, 'labels')} onChange={(event) => set({ labels: event.currentTarget.value })} />
          <Problems title="It could not be looked at" problems={look.problems} />
          <div className={classes.submit}>
            <Button type="submit" size="sm" variant="default" loading={look.busy} disabled={adopt.busy}>
              Look at it
            </Button>
            <span className={classes.quiet}>Nothing is changed by looking.</span>
          </div>
        </form>
      </Panel>
      <div className={classes.beside}>
        <Panel title="What was found">
          {found === null ? <p className={classes.quiet}>It becomes a node that is deployed and protected: it is neither cleaned up nor installed anew until somebody takes the protection away.</p> : <Server server={found.server} />}
          <Problems title="It was not adopted" problems={adopt.problems} />
          <div className={classes.submit}>
            <Button size="sm" disabled={!fresh || look.busy} loading={adopt.busy} onClick={() => void take()}>
              Adopt it
            </Button>
            {found !== null && !fresh ? <span className={classes.quiet}>The form has changed since: look again.</span> : null}
          </div>
        </Panel>
      </div>
    </div>
  );
}

function Server({ server }: { server: Found }) {
  const facts: [string, string | null][] = [
    ['Name', server.name],
    ['Id', server.serverId],
    ['Status', server.serverStatus],
    ['Profile', server.serverProfile],
    ['Zone', server.zone],
    ['Management IP', server.managementIp],
    ['MAC', server.macAddresses.join(', ')],
  ];
  return (
    <>
      <dl className={classes.facts}>
        {facts
          .filter(([, value]) => value !== null && value !== '')
          .map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
      </dl>
      {server.resources.length === 0 ? null : (
        <>
          <p className={classes.quiet}>With it are taken into care:</p>
          <ul className={classes.plain}>
            {server.resources.map(({ kind, role, name, cloudId }) => (
              <li key={cloudId}>
                {resourceKind(kind, role)} <strong>{name}</strong>
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

import type { ApolloClient } from '@apollo/client';
import { useApolloClient, useQuery } from '@apollo/client/react';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';

import { announce } from '@/app/announcer';
import { useMay } from '@/app/session';
import { useTitle } from '@/app/useTitle';
import { problemsOf, useVerb } from '@/gql/client/ask';
import { DeployDocument, OfferDocument, ValidateDocument } from '@/gql/generated/graphql';
import { uniqueKey } from '@/lib/key';
import { EmptyState } from '@/ui';
import { CheckPanel, type Checked } from './CheckPanel';
import classes from './DeployPage.module.css';
import { emptyOrder, inputOf, type Order } from './order';
import { OrderForm } from './OrderForm';

/** Orders a machine: a form, a check-list, and only then the order itself. */
export function DeployPage() {
  useTitle('New deployment');
  return (
    <>
      <nav aria-label="Breadcrumb" className={classes.crumbs}>
        <Link to="/">Fleet</Link>
        <span aria-hidden="true">/</span>
        <span aria-current="page">New deployment</span>
      </nav>
      <h1 className={classes.title}>New deployment</h1>
      {useMay('operator') ? (
        <Ordering />
      ) : (
        <EmptyState title="You may look, not deploy">
          <p>Deploying needs the role operator. Whoever made your sign-in link can make one with that role.</p>
        </EmptyState>
      )}
    </>
  );
}

function Ordering() {
  const search = useSearch({ from: '/deploy' });
  const navigate = useNavigate({ from: '/deploy' });
  const client = useApolloClient();
  const { data, error, refetch, loading } = useQuery(OfferDocument, { variables: { provider: 'IBM_VPC' }, fetchPolicy: 'cache-and-network', notifyOnNetworkStatusChange: true });
  const [order, setOrder] = useState<Order>({ ...emptyOrder, name: search.name ?? '' });
  const [checked, setChecked] = useState<Checked | null>(null);
  const [checking, setChecking] = useState(false);
  // One key for one filled-in form: asking for it twice makes one deployment.
  const [key, setKey] = useState(uniqueKey);
  const deploy = useVerb(DeployDocument);

  const change = (next: Order): void => {
    setOrder(next);
    setKey(uniqueKey());
    deploy.forget();
  };
  const check = async (): Promise<void> => {
    const asked = order;
    setChecking(true);
    const found = await look(client, asked);
    setChecking(false);
    setChecked({ ...found, of: asked });
    announce(found.result === null ? 'The check was not done' : found.result.ok ? 'Checked: nothing stands in the way' : 'Checked: it cannot be deployed like this');
  };
  const send = async (): Promise<void> => {
    const answer = await deploy.run({ input: inputOf(order, key) });
    if (answer?.deployment) void navigate({ to: '/nodes/$nodeId', params: { nodeId: answer.deployment.node.id } });
  };

  const fresh = checked !== null && checked.of === order;
  return (
    <div className={classes.columns}>
      <OrderForm
        order={order}
        offer={data?.providerOffer ?? null}
        offerProblems={error && !loading ? problemsOf(error) : []}
        onOfferAgain={() => void refetch().catch(() => undefined)}
        errors={fresh ? (checked.result?.errors ?? []) : []}
        busy={checking || deploy.busy}
        checking={checking}
        onChange={change}
        onCheck={() => void check()}
      />
      <div className={classes.beside}>
        <CheckPanel checked={checked} fresh={fresh} checking={checking} deploying={deploy.busy} problems={deploy.problems} onDeploy={() => void send()} />
      </div>
    </div>
  );
}

/** The check-list, or why there is none. */
async function look(client: ApolloClient, order: Order): Promise<Omit<Checked, 'of'>> {
  try {
    const { data, error } = await client.query({ query: ValidateDocument, variables: { input: inputOf(order) }, fetchPolicy: 'no-cache' });
    if (data === undefined) return { result: null, problems: problemsOf(error) };
    return { result: data.validateDeployment, problems: [] };
  } catch (error) {
    return { result: null, problems: problemsOf(error) };
  }
}

import { skipToken, useApolloClient, useQuery } from '@apollo/client/react';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect, useMemo, useState } from 'react';

import { announce } from '@/app/announcer';
import { useMay } from '@/app/session';
import { useTitle } from '@/app/useTitle';
import { useFleet } from '@/features/fleet/useFleet';
import { problemsOf } from '@/gql/client/ask';
import { InstallersDocument, OfferDocument } from '@/gql/generated/graphql';
import { uniqueKey } from '@/lib/key';
import { Button, EmptyState } from '@/ui';
import { AdoptForm } from './AdoptForm';
import { check, ofLines, refusedHere, type Checked } from './check';
import { CheckPanel } from './CheckPanel';
import classes from './DeployPage.module.css';
import { dropDraft, loadDraft, saveDraft } from './draft';
import { emptyOrder, inputsOf, isSeveral, type Order } from './order';
import { OrderForm } from './OrderForm';
import { rackRows, withMachine } from './rackRows';
import type { DeploySearch } from './search';
import { usePlace } from './usePlace';

/** Orders machines: a form, a check-list, and only then the order itself; or takes one that exists into care. */
export function DeployPage() {
  useTitle('New deployment');
  const search = useSearch({ from: '/deploy' });
  const navigate = useNavigate({ from: '/deploy' });
  const operator = useMay('operator');
  const admin = useMay('admin');
  const adopts = search.on === 'adopt';
  return (
    <>
      <nav aria-label="Breadcrumb" className={classes.crumbs}>
        <Link to="/">Fleet</Link>
        <span aria-hidden="true">/</span>
        <span aria-current="page">{adopts ? 'Adopt a server' : 'New deployment'}</span>
      </nav>
      <div className={classes.top}>
        <h1 className={classes.title}>{adopts ? 'Adopt a server' : 'New deployment'}</h1>
        {admin ? (
          <Button size="compact-xs" variant="default" onClick={() => void navigate({ search: adopts ? {} : { on: 'adopt' } })}>
            {adopts ? 'Deploy a new one instead' : 'Adopt a server that exists…'}
          </Button>
        ) : null}
      </div>
      {!operator ? (
        <EmptyState title="You need the operator role to deploy">
          <p>Whoever made your sign-in link can make one with that role.</p>
        </EmptyState>
      ) : !adopts ? (
        // Another name in the address is another form.
        <Ordering key={`${search.name ?? ''} ${search.on ?? ''}`} search={search} />
      ) : admin ? (
        <AdoptForm />
      ) : (
        <EmptyState title="You need the admin role to adopt servers">
          <p>A server that is adopted can be cleaned up later, which deletes it; so only administrators take servers into care.</p>
        </EmptyState>
      )}
    </>
  );
}

/** What the form begins with: what the address names, else what was left. */
function beginning({ name, on }: DeploySearch): Order {
  const left = loadDraft() ?? emptyOrder;
  const ground = on === 'rack' ? 'RACK' : on === 'ibm-vpc' ? 'IBM_VPC' : name === undefined ? left.ground : 'IBM_VPC';
  return name === undefined || name === left.name ? { ...left, ground } : { ...emptyOrder, name, ground };
}

function Ordering({ search }: { search: DeploySearch }) {
  const client = useApolloClient();
  const fleet = useFleet();
  const machines = useMemo(() => rackRows(fleet.rows.values()), [fleet]);
  const [order, setOrder] = useState<Order>(() => beginning(search));
  const { data, error, refetch, loading } = useQuery(OfferDocument, order.ground === 'IBM_VPC' ? { variables: { provider: 'IBM_VPC' as const }, fetchPolicy: 'cache-and-network', notifyOnNetworkStatusChange: true } : skipToken);
  const installers = useQuery(InstallersDocument, { fetchPolicy: 'cache-and-network' }).data?.artifacts ?? [];
  const [checked, setChecked] = useState<Checked | null>(null);
  const [checking, setChecking] = useState<{ done: number; of: number } | null>(null);
  // One key for one filled-in form: asking for it twice makes one deployment.
  const [key, setKey] = useState(uniqueKey);
  const place = usePlace(order, key);
  // A machine that the address names is filled in as soon as it is known, once.
  const [filled, setFilled] = useState(search.name === undefined);
  const named = filled ? undefined : machines.find(({ name }) => name === search.name);
  if (named !== undefined) {
    setFilled(true);
    if (order.ground === 'RACK' && order.mac === '' && order.serial === '') setOrder(withMachine(order, named));
  }
  useEffect(() => {
    if (order === emptyOrder) dropDraft();
    else saveDraft(order);
  }, [order]);

  const change = (next: Order): void => {
    setOrder(next);
    setKey(uniqueKey());
    place.forget();
  };
  const look = async (): Promise<void> => {
    const asked = order;
    const refused = refusedHere(asked);
    if (refused !== null) {
      place.forget();
      setChecked(refused);
      announce('Checked: it cannot be deployed like this');
      return;
    }
    const inputs = inputsOf(asked);
    setChecking({ done: 0, of: inputs.length });
    place.forget();
    const found = await check(client, inputs, (done) => setChecking({ done, of: inputs.length }));
    setChecking(null);
    setChecked({ ...found, of: asked });
    announce(found.result === null ? 'The check was not done' : found.result.ok ? 'Checked: nothing stands in the way' : 'Checked: it cannot be deployed like this');
  };

  const fresh = checked !== null && checked.of === order;
  const failing = fresh ? (checked.result?.checks ?? []).filter(({ passed, severity }) => !passed && severity === 'ERROR') : [];
  const said = [...place.problems, ...(fresh ? [...ofLines(checked), ...(checked.short ?? [])] : []), ...(fresh ? (checked.result?.errors ?? []) : []), ...failing];
  const count = isSeveral(order) ? inputsOf(order).length : 1;
  return (
    <div className={classes.columns}>
      <OrderForm
        order={order}
        offer={data?.providerOffer ?? null}
        offerProblems={error && !loading ? problemsOf(error) : []}
        onOfferAgain={() => void refetch().catch(() => undefined)}
        installers={installers.filter(({ kind, state }) => kind === 'installer' && state === 'READY').map(({ name }) => name)}
        machines={machines}
        said={said}
        busy={checking !== null || place.busy}
        checking={checking}
        passed={fresh && checked.result?.ok === true}
        onChange={change}
        onCheck={() => void look()}
        onClear={() => {
          change(emptyOrder);
          setChecked(null);
        }}
      />
      <div className={classes.beside}>
        <CheckPanel checked={checked} fresh={fresh} checking={checking !== null} deploying={place.busy} count={count} problems={place.problems} taken={place.taken} onDeploy={() => void place.send()} />
      </div>
    </div>
  );
}

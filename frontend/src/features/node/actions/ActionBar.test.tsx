import { ApolloProvider } from '@apollo/client/react';
import { render, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { session } from '@/app/session';
import type { CleanupStepRowFragment, DeploymentAction } from '@/gql/generated/graphql';
import { at, live, nodeLive, row } from '@/test/fixtures';
import { playServer, type Answered, type Asked } from '@/test/server';
import { UiProvider } from '@/ui';
import type { DeploymentDetails, NodeDetails } from '../useNode';
import { ActionBar } from './ActionBar';

const signIn = (role: string): void => session.set({ status: 'signed-in', name: 'ada', role, expiresAt: at(9999) });

beforeEach(() => signIn('operator'));
afterEach(() => session.set({ status: 'checking' }));

const node = (over: Partial<NodeDetails> = {}): NodeDetails =>
  ({ ...row('node_1'), ...nodeLive(), name: 'metal-1', clusterName: null, labels: [], deployments: { nodes: [] }, ...over }) as unknown as NodeDetails;
const failed = (actions: DeploymentAction[]): DeploymentDetails =>
  live({
    state: 'FAILED',
    phase: 'FAILED',
    allowedActions: actions,
    retryBeginsAt: 'MONITORING_START',
    retryPhases: [
      { phase: 'SERVER_REQUESTED', phaseKey: 'server_requested', label: 'Server ordered', beginsAt: 'SERVER_REQUESTED', installs: true },
      { phase: 'MONITORING_START', phaseKey: 'monitoring_start', label: 'Waiting for boot', beginsAt: 'MONITORING_START', installs: true },
      { phase: 'IMAGE_DOWNLOAD', phaseKey: 'image_download', label: 'Image download', beginsAt: 'MONITORING_START', installs: true },
    ],
    failure: { phase: 'IMAGE_DOWNLOAD', phaseKey: 'image_download', code: 'reported_failed', message: 'no', hint: null, retryable: true, at: at(5), logTail: null },
  }) as unknown as DeploymentDetails;

const accepted = (type: string, over: Parameters<typeof live>[0]): Answered => ({
  data: { answer: { __typename: type, errors: [], deployment: { ...live({ version: 2, ...over }), node: { ...row('node_1'), currentDeployment: null } } } },
});
const refused = (code: string, message: string): Answered => ({ data: { answer: { __typename: 'Payload', deployment: null, plan: [], errors: [{ __typename: 'UserError', code, message, field: null, retryable: false }] } } });

function show(answer: (asked: Asked) => Answered | Promise<Answered>, deployment: DeploymentDetails, machine: NodeDetails = node()) {
  const world = playServer(answer);
  const view = render(
    <UiProvider>
      <ApolloProvider client={world.client}>
        <ActionBar node={machine} deployment={deployment} />
      </ApolloProvider>
    </UiProvider>,
  );
  return { ...world, ...view, user: userEvent.setup() };
}
const names = (): (string | null)[] => within(screen.getByRole('group', { name: 'Actions' })).getAllByRole('button').map((each) => each.textContent);
const never = (): Answered => {
  throw new Error('nothing was to be asked');
};

describe('the buttons', () => {
  it('are those that the server allows, and the protection', () => {
    show(never, failed(['RETRY', 'RETRY_FROM_PHASE', 'CLEANUP', 'REINITIALIZE']));
    expect(names()).toEqual(['Retry…', 'Retry from…', 'Clean up…', 'Reinitialize…', 'Protect…']);
  });

  it('leave out what this app does not know', () => {
    show(never, failed(['CANCEL', 'TELEPORT' as DeploymentAction]), node({ protected: true }));
    expect(names()).toEqual(['Cancel…', 'Unprotect…']);
  });

  it('are not there for a viewer', () => {
    signIn('viewer');
    show(never, failed(['CLEANUP']));
    expect(screen.queryByRole('button')).not.toBeInTheDocument();
  });
});

describe('cancel', () => {
  const running = live({ allowedActions: ['CANCEL'] }) as unknown as DeploymentDetails;

  it('asks how gently, and shows that it is being asked for', async () => {
    let answer: (answered: Answered) => void = () => undefined;
    const { asked, user, client } = show(() => new Promise((resolve) => (answer = resolve)), running);
    await user.click(screen.getByRole('button', { name: 'Cancel…' }));
    expect(screen.getByRole('radio', { name: 'When the phase ends' })).toBeChecked();
    await user.click(screen.getByRole('radio', { name: 'Now' }));
    await user.type(screen.getByLabelText(/^Why/), ' wrong node ');
    await user.click(screen.getByRole('button', { name: 'Cancel the deployment' }));
    expect(await screen.findByText('Asking to cancel …')).toBeInTheDocument();
    await user.keyboard('{Enter}');
    answer(accepted('CancelDeploymentPayload', { state: 'CANCELED' }));
    await waitFor(() => expect(screen.queryByRole('dialog')).not.toBeInTheDocument());
    expect(asked.map(({ variables }) => variables)).toEqual([{ input: { id: 'dep_1', mode: 'IMMEDIATE', reason: 'wrong node' } }]);
    expect(client.cache.extract()).toMatchObject({ 'Deployment:dep_1': { state: 'CANCELED' } });
  });

  it('gives the focus back when it is left', async () => {
    const { user } = show(never, running);
    await user.click(screen.getByRole('button', { name: 'Cancel…' }));
    await waitFor(() => expect(screen.getByRole('dialog')).toContainElement(document.activeElement as HTMLElement));
    await user.keyboard('{Escape}');
    await waitFor(() => expect(screen.queryByRole('dialog')).not.toBeInTheDocument());
    await waitFor(() => expect(screen.getByRole('button', { name: 'Cancel…' })).toHaveFocus());
  });

  it('stays open when it is refused, and says why', async () => {
    const { user } = show(() => refused('DEPLOYMENT_ENDED', 'the deployment has ended (succeeded)'), running);
    await user.click(screen.getByRole('button', { name: 'Cancel…' }));
    await user.click(screen.getByRole('button', { name: 'Cancel the deployment' }));
    const alert = await screen.findByRole('alert');
    expect(alert).toHaveTextContent('the deployment has ended (succeeded)');
    expect(alert).toHaveTextContent('DEPLOYMENT_ENDED');
    expect(alert).toHaveTextContent('Request req-1');
    // Closed, the page still says it; another dialog begins without it.
    await user.click(screen.getByRole('button', { name: 'Let it go on' }));
    expect(screen.getByRole('alert')).toHaveTextContent('DEPLOYMENT_ENDED');
    await user.click(screen.getByRole('button', { name: 'Protect…' }));
    expect(screen.queryByRole('alert')).not.toBeInTheDocument();
  });
});

describe('retry', () => {
  it('says where it begins and sends no phase', async () => {
    const { asked, user } = show(() => accepted('RetryDeploymentPayload', { attempt: 2 }), failed(['RETRY', 'RETRY_FROM_PHASE']));
    await user.click(screen.getByRole('button', { name: 'Retry…' }));
    const dialog = screen.getByRole('dialog', { name: 'Retry deployment #1' });
    expect(dialog).toHaveTextContent('Attempt 2 begins at Waiting for boot, for “Image download” cannot be repeated by itself.');
    expect(dialog).toHaveTextContent('installed anew');
    await user.click(screen.getByRole('button', { name: 'Begin attempt 2' }));
    await waitFor(() => expect(screen.queryByRole('dialog')).not.toBeInTheDocument());
    expect(asked[0]?.variables).toEqual({ input: { id: 'dep_1', fromPhase: null } });
  });

  it('offers each beginning once', async () => {
    const { asked, user } = show(() => accepted('RetryDeploymentPayload', { attempt: 2 }), failed(['RETRY', 'RETRY_FROM_PHASE']));
    await user.click(screen.getByRole('button', { name: 'Retry from…' }));
    expect(screen.getAllByRole('radio').map((each) => (each as HTMLInputElement).value)).toEqual(['SERVER_REQUESTED', 'MONITORING_START']);
    expect(screen.getByRole('radio', { name: 'Waiting for boot' })).toHaveAccessibleDescription('Then again: Image download');
    await user.click(screen.getByRole('radio', { name: 'Server ordered' }));
    await user.click(screen.getByRole('button', { name: 'Begin attempt 2' }));
    await waitFor(() => expect(asked[0]?.variables).toEqual({ input: { id: 'dep_1', fromPhase: 'SERVER_REQUESTED' } }));
  });
});

const step = (over: Partial<CleanupStepRowFragment> = {}) => ({
  __typename: 'CleanupStep', resourceId: 'res_1', resourceKind: 'server', role: null, name: 'slw-metal-1', cloudId: '0717-1', action: 'stop and delete', status: 'WAITING', message: null, ...over,
});
const planned = (...plan: unknown[]): Answered => ({ data: { answer: { __typename: 'CleanupDeploymentPayload', plan, errors: [] } } });

describe('cleanup', () => {
  const done = failed(['CLEANUP']);

  it('shows what will be deleted and wants the name, to the letter', async () => {
    const steps = [step(), step({ resourceId: 'res_2', resourceKind: 'vni', role: 'management', action: 'keep', status: 'SKIPPED', message: 'it is not ours' })];
    const { asked, user } = show(({ operationName }) => (operationName === 'CleanupPlan' ? planned(...steps) : accepted('CleanupDeploymentPayload', { state: 'CLEANING_UP' })), done);
    await user.click(screen.getByRole('button', { name: 'Clean up…' }));
    const list = await screen.findByRole('list', { name: 'What will be deleted' });
    expect(within(list).getAllByRole('listitem').map((each) => each.textContent)).toEqual(['stop and deleteServerslw-metal-10717-1', expect.stringContaining('Network interface, management')]);
    const button = screen.getByRole('button', { name: 'Delete 1 resource' });
    expect(button).toBeDisabled();
    const field = screen.getByLabelText('Type metal-1 to confirm');
    await user.type(field, 'metal-{Enter}');
    expect(button).toBeDisabled();
    await user.type(field, '1{Enter}');
    await waitFor(() => expect(screen.queryByRole('dialog')).not.toBeInTheDocument());
    expect(asked.map(({ operationName, variables }) => [operationName, variables])).toEqual([
      ['CleanupPlan', { id: 'dep_1' }],
      ['Cleanup', { id: 'dep_1', confirmNodeName: 'metal-1' }],
    ]);
  });

  it('cannot be asked for while it is not known what would be deleted', async () => {
    let away = true;
    const { user } = show(() => (away ? refused('UPSTREAM_UNAVAILABLE', 'the cloud does not answer') : planned()), done);
    await user.click(screen.getByRole('button', { name: 'Clean up…' }));
    expect(await screen.findByRole('alert')).toHaveTextContent('the cloud does not answer');
    await user.type(screen.getByLabelText('Type metal-1 to confirm'), 'metal-1');
    expect(screen.getByRole('button', { name: 'Clean up' })).toBeDisabled();
    away = false;
    await user.click(screen.getByRole('button', { name: 'Look again' }));
    expect(await screen.findByText(/holds nothing at the provider/)).toBeInTheDocument();
    expect(screen.getByRole('button', { name: 'Clean up' })).toBeEnabled();
  });
});

describe('reinitialize', () => {
  it('is one request however often the same dialog sends it', async () => {
    let first = true;
    const { asked, user } = show(() => {
      if (!first) return accepted('ReinitializeNodePayload', { id: 'dep_2', number: 2 });
      first = false;
      return 'unreachable';
    }, failed(['REINITIALIZE']));
    await user.click(screen.getByRole('button', { name: 'Reinitialize…' }));
    await user.type(screen.getByLabelText('Type metal-1 to confirm'), 'metal-1');
    await user.click(screen.getByRole('button', { name: 'Erase and install anew' }));
    expect(await screen.findByRole('alert')).toHaveTextContent('Whether it was done is not known');
    await user.click(screen.getByRole('button', { name: 'Erase and install anew' }));
    await waitFor(() => expect(screen.queryByRole('dialog')).not.toBeInTheDocument());
    const keys = asked.map(({ variables }) => (variables.input as { idempotencyKey: string }).idempotencyKey);
    expect(keys).toHaveLength(2);
    expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(keys[1]).toBe(keys[0]);
  });
});

describe('protection', () => {
  const answer: Answered = { data: { answer: { __typename: 'SetNodeProtectionPayload', errors: [], bareMetalNode: { ...nodeLive({ version: 2, protected: true, protectNote: 'ours' }), currentDeployment: null } } } };

  it('is set with a note', async () => {
    const { asked, user, client } = show(() => answer, failed([]));
    await user.click(screen.getByRole('button', { name: 'Protect…' }));
    await user.type(screen.getByLabelText(/^Why/), 'ours{Enter}');
    await waitFor(() => expect(screen.queryByRole('dialog')).not.toBeInTheDocument());
    expect(asked[0]?.variables).toEqual({ input: { id: 'node_1', protected: true, note: 'ours' } });
    expect(client.cache.extract()).toMatchObject({ 'BareMetalNode:node_1': { protected: true, protectNote: 'ours' } });
  });

  it('is taken away, with its note in view', async () => {
    const { asked, user } = show(() => answer, failed([]), node({ protected: true, protectNote: 'holds the demo' }));
    await user.click(screen.getByRole('button', { name: 'Unprotect…' }));
    expect(screen.getByRole('dialog')).toHaveTextContent('holds the demo');
    await user.click(screen.getByRole('button', { name: 'Take the protection away' }));
    await waitFor(() => expect(asked[0]?.variables).toEqual({ input: { id: 'node_1', protected: false } }));
  });
});

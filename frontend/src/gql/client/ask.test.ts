import { describe, expect, it } from 'vitest';

import { CancelDocument } from '@/gql/generated/graphql';
import { playServer, type Answered } from '@/test/server';
import { ask } from './ask';

const input = { id: 'dep_1' };
const cancel = (answered: Answered) => ask(playServer(() => answered).client, CancelDocument, { input });

describe('asking the server to do something', () => {
  it('tells a refusal with its code, its field and the id of the request', async () => {
    const refusal = { __typename: 'UserError', code: 'DEPLOYMENT_ENDED', message: 'the deployment has ended', field: ['id'], retryable: false };
    expect(await cancel({ data: { answer: { __typename: 'CancelDeploymentPayload', deployment: null, errors: [refusal] } } })).toEqual({
      answer: null,
      problems: [{ code: 'DEPLOYMENT_ENDED', message: 'the deployment has ended', field: ['id'], requestId: 'req-1' }],
    });
  });

  it('tells an error of the request with what its extensions say', async () => {
    const errors = [{ message: 'Mutation.cancelDeployment needs the role OPERATOR', extensions: { code: 'FORBIDDEN', requestId: 'abc' } }];
    expect((await cancel({ errors })).problems).toEqual([{ code: 'FORBIDDEN', message: errors[0]?.message, field: null, requestId: 'abc' }]);
  });

  it('tells the field of an input that could not be read', async () => {
    const errors = [{ message: 'an IPAddress is an IPv4 or IPv6 address', path: ['answer', 'input', 'spec', 'rack', 'managementIp'], extensions: { code: 'INVALID' } }];
    expect((await cancel({ errors })).problems).toMatchObject([{ code: 'INVALID', field: ['spec', 'rack', 'managementIp'] }]);
  });

  it('tells the status of what is no answer of the API', async () => {
    expect((await cancel({ status: 502 })).problems).toEqual([{ code: null, message: 'The server answered with status 502.', field: null, requestId: 'req-1' }]);
  });

  it('does not claim to know what became of a request without an answer', async () => {
    const { answer, problems } = await cancel('unreachable');
    expect(answer).toBeNull();
    expect(problems[0]?.message).toMatch(/could not be reached.*Whether it was done is not known/);
  });
});

import { CombinedGraphQLErrors, ServerError } from '@apollo/client';

import { problemsOf, type Problem } from '@/gql/client/ask';
import { Button, EmptyState, Problems, StatusMark } from '@/ui';

/** What went wrong, with what to quote: an answer of the server, a request without one, or an error of the page itself. */
function problemsIn(error: unknown): Problem[] {
  // Browsers say "Failed to fetch" and the like of a request that got no answer.
  const unreached = error instanceof TypeError && /fetch|network|load failed/i.test(error.message) && !/import/i.test(error.message);
  if (CombinedGraphQLErrors.is(error) || ServerError.is(error) || unreached) return problemsOf(error);
  return [{ code: null, message: error instanceof Error ? error.message : String(error), field: null, requestId: null }];
}

/** Something could not be shown: what it was, and a way to try again. */
export function ErrorPage({ error, retry, page = true }: { error: unknown; retry: () => void; /** It is the whole page: its title is the page's. */ page?: boolean }) {
  const problems = problemsIn(error);
  if (problems.some(({ code }) => code === 'FORBIDDEN')) {
    return (
      <EmptyState page={page} title="You do not have access to this page" mark={<StatusMark kind="stalled" word="Not allowed" />}>
        <Problems title="The server refused" problems={problems} />
        <p>Whoever made your sign-in link can make one with another role.</p>
      </EmptyState>
    );
  }
  return (
    <EmptyState page={page} title="This could not be loaded" mark={<StatusMark kind="failed" word="Error" />}>
      <Problems title="What happened" problems={problems} />
      <Button size="xs" variant="default" onClick={retry}>
        Try again
      </Button>
    </EmptyState>
  );
}

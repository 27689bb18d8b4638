import { Button, EmptyState, StatusMark } from '@/ui';

/** Something could not be shown: what it was, and a way to try again. */
export function ErrorPage({ error, retry }: { error: unknown; retry: () => void }) {
  const text = error instanceof Error ? error.message : String(error);
  return (
    <EmptyState title="This could not be loaded" mark={<StatusMark kind="failed" word="Error" />}>
      <p>{text}</p>
      <Button size="xs" variant="default" onClick={retry}>
        Try again
      </Button>
    </EmptyState>
  );
}

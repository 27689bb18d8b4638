import { Link } from '@tanstack/react-router';

import { EmptyState, StatusMark } from '@/ui';
import { useTitle } from './useTitle';

/** An address that names nothing. */
export function NotFoundPage({ what = 'This page does not exist', children }: { what?: string; children?: React.ReactNode }) {
  useTitle('Not found');
  return (
    <EmptyState page title={what} mark={<StatusMark kind="unknown" word="404" />}>
      {children}
      <Link to="/">Go to the fleet</Link>
    </EmptyState>
  );
}

import { useEffect } from 'react';

import { Button, Command, EmptyState, StatusMark } from '@/ui';
import { openSession, type Session } from './session';
import classes from './SignInPage.module.css';

const reasons = {
  none: { title: 'Sign in with a link', text: 'This page opens with a one-time link. Whoever runs Slipway makes one on the server:' },
  'link-used': {
    title: 'This link has been used or is too old',
    text: 'A sign-in link works once and for a short time, so that a copied one opens nothing. Make a new one on the server:',
  },
  ended: { title: 'Your session has ended', text: 'Sign in again with a new link, made on the server:' },
} as const;

/** What is shown to somebody who is not signed in. Nothing here redirects anywhere. */
export function SignInPage({ session }: { session: Exclude<Session, { status: 'signed-in' }> }) {
  const { status } = session;
  useEffect(() => {
    document.title = status === 'unreachable' ? 'No answer · Slipway' : 'Sign in · Slipway';
    if (status !== 'unreachable') return;
    const timer = setInterval(() => void openSession(), 5000);
    return () => clearInterval(timer);
  }, [status]);

  return (
    <main className={classes.page}>
      <div className={classes.card}>
        <h1 className={classes.brand}>Slipway</h1>
        {session.status === 'checking' ? <p className={classes.wait} role="status">Signing in …</p> : null}
        {session.status === 'unreachable' ? (
          <EmptyState title="The server does not answer" mark={<StatusMark kind="stalled" word="Not reachable" />}>
            <p>It is asked again every five seconds; this page goes on by itself.</p>
            <Button variant="default" size="xs" onClick={() => void openSession()}>
              Ask now
            </Button>
          </EmptyState>
        ) : null}
        {session.status === 'signed-out' ? (
          <EmptyState title={reasons[session.reason].title}>
            <p>{reasons[session.reason].text}</p>
            <Command label="Command that makes a sign-in link">slipway token signin NAME</Command>
            <p className={classes.hint}>NAME is who signs in; history shows it. The command prints an address that ends in #signin=…; open it here.</p>
          </EmptyState>
        ) : null}
      </div>
    </main>
  );
}

import { ApolloProvider } from '@apollo/client/react';
import { RouterProvider } from '@tanstack/react-router';
import { useEffect, useState } from 'react';

import { useStore } from '@/lib/store';
import { UiProvider } from '@/ui';
import { resetAnnouncer } from './announcer';
import { router } from './router';
import { createServices, StreamProvider } from './services';
import { session } from './session';
import { SignInPage } from './SignInPage';

/** The whole app: a session, or the page that says how to get one. */
export function App() {
  const current = useStore(session);
  return (
    <UiProvider>
      {current.status === 'signed-in' ? <Live key={current.name} /> : <SignInPage session={current} />}
    </UiProvider>
  );
}

// Lives as long as a session; what was cached for it goes with it.
function Live() {
  const [{ client, stream }] = useState(createServices);
  useEffect(() => {
    stream.start();
    return () => {
      stream.stop();
      resetAnnouncer();
    };
  }, [stream]);
  return (
    <ApolloProvider client={client}>
      <StreamProvider value={stream}>
        <RouterProvider router={router} />
      </StreamProvider>
    </ApolloProvider>
  );
}

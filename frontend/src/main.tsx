import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { App } from './app/App';
import { openSession, takeCode } from './app/session';

// Before anything is drawn or asked for: the code must not stay in the address.
void openSession(takeCode(location, history));
// A link that is opened in the tab that asked for it loads nothing anew.
globalThis.addEventListener('hashchange', () => {
  const code = takeCode(location, history);
  if (code !== null) void openSession(code);
});

const container = document.getElementById('root');
if (!container) throw new Error('the page has no root element');
createRoot(container).render(
  <StrictMode>
    <App />
  </StrictMode>,
);

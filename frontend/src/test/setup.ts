import '@testing-library/jest-dom/vitest';

import { cleanup, configure } from '@testing-library/react';
import { afterEach } from 'vitest';

// What is waited for comes when a busy machine gets round to it.
configure({ asyncUtilTimeout: 30_000 });

afterEach(cleanup);

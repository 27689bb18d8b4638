import { createTheme, localStorageColorSchemeManager, MantineProvider, useMantineColorScheme } from '@mantine/core';
import type { ReactNode } from 'react';

import './styles';

const theme = createTheme({
  fontFamily: 'var(--sw-font)',
  cursorType: 'pointer',
  defaultRadius: 'sm',
  respectReducedMotion: true,
});

const schemeManager = localStorageColorSchemeManager({ key: 'slipway.theme' });

/**
 * What every component stands in. The library writes no style element of its
 * own: its variables come with the style sheet, so the page needs no
 * 'unsafe-inline' in its content policy.
 */
export function UiProvider({ children }: { children: ReactNode }) {
  return (
    <MantineProvider
      theme={theme}
      defaultColorScheme="auto"
      colorSchemeManager={schemeManager}
      withCssVariables={false}
      withGlobalClasses={false}
    >
      {children}
    </MantineProvider>
  );
}

export type ThemeChoice = 'light' | 'dark' | 'auto';

/** The chosen theme and how to choose another; "auto" is the system's. */
export function useTheme(): { choice: ThemeChoice; choose: (choice: ThemeChoice) => void } {
  // Else the library holds transitions still with a style element, which the content policy refuses.
  const { colorScheme, setColorScheme } = useMantineColorScheme({ keepTransitions: true });
  return { choice: colorScheme, choose: setColorScheme };
}

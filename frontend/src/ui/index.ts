/**
 * The only door to the component library. Feature code imports from here, so
 * that a part can be replaced in one place; a lint rule holds to it.
 */
export { ActionIcon as IconButton, Button, Kbd, NativeSelect, Popover, SegmentedControl, Textarea as TextArea, TextInput, VisuallyHidden } from '@mantine/core';
export { useElementSize, useMediaQuery } from '@mantine/hooks';
export { UiProvider, useTheme, type ThemeChoice } from './UiProvider';
export { StatusMark, type StatusMarkProps } from './StatusMark';
export { ExportLinks } from './ExportLinks';
export { EtaMark } from './EtaMark';
export { Instant } from './Instant';
export { Panel } from './Panel';
export { Dialog, DialogButtons } from './Dialog';
export { Choices, Tick, type Choice } from './Choices';
export { Problems, type ShownProblem } from './Problems';
export { EmptyState } from './EmptyState';
export { CopyAs } from './CopyAs';
export { Command } from './Command';
export { Progress } from './Progress';
export { useTyped } from './useTyped';
export { lazyDialog, lazyPart, type LazyPart } from './lazyPart';

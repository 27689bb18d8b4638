import { Modal } from '@mantine/core';
import type { ReactNode } from 'react';

import classes from './Dialog.module.css';
import { useFocusBack } from './useFocusBack';

export interface DialogProps {
  opened: boolean;
  onClose: () => void;
  title: string;
  /** Room for a list. */
  wide?: boolean;
  children: ReactNode;
}

/** A dialog over the page. The page's scroll is left alone: locking it would write a style element. */
export function Dialog({ opened, onClose, title, wide = false, children }: DialogProps) {
  useFocusBack(opened);
  return (
    <Modal.Root opened={opened} onClose={onClose} returnFocus={false} centered size={wide ? 760 : 480} lockScroll={false} transitionProps={{ duration: 0 }}>
      <Modal.Overlay />
      <Modal.Content>
        <div className={classes.head}>
          <Modal.Title className={classes.title}>{title}</Modal.Title>
          <Modal.CloseButton aria-label="Close" />
        </div>
        <Modal.Body>{children}</Modal.Body>
      </Modal.Content>
    </Modal.Root>
  );
}

/** The last row of a dialog: what it does, on the right. */
export function DialogButtons({ children }: { children: ReactNode }) {
  return <div className={classes.buttons}>{children}</div>;
}

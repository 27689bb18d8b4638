import { render, screen } from '@testing-library/react';
import { describe, expect, it } from 'vitest';

import { statusWords, type StatusKind } from '@/lib/states';
import { StatusMark } from './StatusMark';

const kinds = Object.keys(statusWords) as StatusKind[];

describe('StatusMark', () => {
  it('says every kind in a word', () => {
    for (const kind of kinds) {
      const { unmount } = render(<StatusMark kind={kind} />);
      expect(screen.getByText(statusWords[kind])).toBeInTheDocument();
      unmount();
    }
  });

  it('gives every kind a shape of its own, so that colour is never needed', () => {
    const drawn = kinds.map((kind) => {
      const { container, unmount } = render(<StatusMark kind={kind} />);
      const shape = container.querySelector('svg')?.innerHTML;
      unmount();
      return shape;
    });
    expect(new Set(drawn).size).toBe(kinds.length);
    expect(new Set(Object.values(statusWords)).size).toBe(kinds.length);
  });

  it('hides the shape from assistive technology and keeps the word when compact', () => {
    const { container } = render(<StatusMark kind="failed" word="Timed out" compact />);
    expect(container.querySelector('svg')).toHaveAttribute('aria-hidden', 'true');
    expect(screen.getByText('Timed out')).toBeInTheDocument();
  });
});

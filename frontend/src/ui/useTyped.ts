import { useState, type ChangeEvent } from 'react';

export interface Typed {
  value: string;
  onChange: (event: ChangeEvent<HTMLInputElement>) => void;
  onBlur: () => void;
}

/**
 * A field whose text is kept in the address, which has it a moment after a key.
 * As long as one is in the field it shows what was typed, so that no letter is
 * lost to the next one.
 */
export function useTyped(kept: string, keep: (text: string) => void): Typed {
  const [typed, setTyped] = useState<string | null>(null);
  return {
    value: typed ?? kept,
    onChange: ({ currentTarget: { value } }) => {
      setTyped(value);
      keep(value);
    },
    onBlur: () => setTyped(null),
  };
}

import type { ExportFormat } from '@/lib/exports';
import classes from './ExportLinks.module.css';

/** What is filtered, as a file. */
export function ExportLinks({ what, href }: { what: string; href: (format: ExportFormat) => string }) {
  return (
    <span className={classes.links} role="group" aria-label={`Export ${what}`}>
      Export
      <a href={href('csv')} download aria-label={`${what} as CSV`}>
        CSV
      </a>
      <a href={href('ndjson')} download aria-label={`${what} as NDJSON`}>
        NDJSON
      </a>
    </span>
  );
}

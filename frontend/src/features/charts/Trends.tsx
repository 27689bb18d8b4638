import { Link, useNavigate } from '@tanstack/react-router';

import { timeMode } from '@/lib/preferences';
import { useStore } from '@/lib/store';
import classes from './Charts.module.css';
import { DurationPanel } from './DurationPanel';
import { SuccessPanel } from './SuccessPanel';
import { useSeries } from './useSeries';

/** How the last week went; the page of the insights looks further and closer. */
export function Trends() {
  const mode = useStore(timeMode);
  const navigate = useNavigate();
  const { range, durations, successes } = useSeries({});
  return (
    <div className={classes.space}>
      <DurationPanel {...durations} range={range} mode={mode} search={{}} />
      <SuccessPanel {...successes} range={range} mode={mode} search={{}} onProfile={(profile) => void navigate({ to: '/insights', search: { profile } })} />
      <p className={classes.more}>
        <Link to="/insights">Other times, providers and phases</Link>
      </p>
    </div>
  );
}

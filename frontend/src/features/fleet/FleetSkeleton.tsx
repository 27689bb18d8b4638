import classes from './FleetSkeleton.module.css';

/** The place of the rows until they come, so that nothing jumps when they do. */
export function FleetSkeleton() {
  return (
    <div className={classes.rows} role="status" aria-label="Loading the fleet">
      {Array.from({ length: 8 }, (_, i) => (
        <div key={i} className={classes.row} aria-hidden="true">
          <span />
          <span />
          <span />
        </div>
      ))}
    </div>
  );
}

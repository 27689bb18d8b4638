import classes from './Problems.module.css';

/** What went wrong, as it is shown. */
export interface ShownProblem {
  message: string;
  /** Short name for programs and for whoever is asked for help. */
  code: string | null;
  /** Where it happened, when it is a field. */
  field: readonly string[] | null;
  /** Finds the request in the server's log. */
  requestId: string | null;
}

/** Why something was not done: in words, with its code and what to quote when asking for help. */
export function Problems({ title, problems }: { title: string; problems: readonly ShownProblem[] }) {
  if (problems.length === 0) return null;
  const requestId = problems.find((problem) => problem.requestId !== null)?.requestId ?? null;
  return (
    <div role="alert" className={classes.box}>
      <p className={classes.title}>{title}</p>
      <ul className={classes.list}>
        {problems.map((problem) => (
          <li key={`${problem.code ?? ''} ${problem.message}`}>
            {problem.message} {problem.code === null ? null : <code className={classes.code}>{problem.code}</code>}
          </li>
        ))}
      </ul>
      {requestId === null ? null : (
        <p className={classes.id}>
          Request <code>{requestId}</code>
        </p>
      )}
    </div>
  );
}

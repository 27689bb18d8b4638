import { Button, Popover, Tick } from '@/ui';
import classes from './ColumnChoice.module.css';
import { columnOf } from './columns';
import { chosenColumns, columnIds, fixedColumns, withColumn } from './filters';

/** Which columns the table has; kept in the address, so that it can be shared. */
export function ColumnChoice({ cols, onChange }: { cols: string | undefined; /** From the choice of the moment, which may be newer than what is drawn. */ onChange: (next: (cols: string | undefined) => string | undefined) => void }) {
  const chosen = chosenColumns(cols);
  return (
    <Popover position="bottom-end" width={220} shadow="md" trapFocus transitionProps={{ duration: 0 }}>
      <Popover.Target>
        <Button size="compact-xs" variant="default">
          Columns
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label="Columns of the table" className={classes.list}>
        <p className={classes.title}>Columns, as far as there is room</p>
        {columnIds
          .filter((id) => !fixedColumns.has(id))
          .map((id) => (
            <Tick key={id} label={columnOf(id).title} checked={chosen.includes(id)} onChange={(checked) => onChange((now) => withColumn(now, id, checked))} />
          ))}
        {cols === undefined ? null : (
          <Button size="compact-xs" variant="default" className={classes.reset} onClick={() => onChange(() => undefined)}>
            The usual columns
          </Button>
        )}
      </Popover.Dropdown>
    </Popover>
  );
}

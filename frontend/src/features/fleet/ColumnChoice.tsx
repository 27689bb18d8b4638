import { Button, Popover, Tick } from '@/ui';
import classes from './ColumnChoice.module.css';
import { columnOf } from './columns';
import { chosenColumns, colsParameter, columnIds, fixedColumns } from './filters';

/** Which columns the table has; kept in the address, so that it can be shared. */
export function ColumnChoice({ cols, onChange }: { cols: string | undefined; onChange: (cols: string | undefined) => void }) {
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
            <Tick key={id} label={columnOf(id).title} checked={chosen.includes(id)} onChange={(checked) => onChange(colsParameter(columnIds.filter((each) => (each === id ? checked : chosen.includes(each)))))} />
          ))}
        {cols === undefined ? null : (
          <Button size="compact-xs" variant="default" className={classes.reset} onClick={() => onChange(undefined)}>
            The usual columns
          </Button>
        )}
      </Popover.Dropdown>
    </Popover>
  );
}

package bench;

import org.operaton.bpm.engine.delegate.DelegateExecution;
import org.operaton.bpm.engine.delegate.JavaDelegate;

/** Code that does nothing: the engine is measured. */
public final class Nothing implements JavaDelegate {
  @Override
  public void execute(DelegateExecution execution) {}
}

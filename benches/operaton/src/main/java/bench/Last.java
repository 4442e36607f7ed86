package bench;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
import org.operaton.bpm.engine.delegate.DelegateExecution;
import org.operaton.bpm.engine.delegate.JavaDelegate;

/** The last activity: counts, and lets the client of the instance go on. */
public final class Last implements JavaDelegate {
  static final AtomicInteger completed = new AtomicInteger();
  static final Map<String, Semaphore> underWay = new ConcurrentHashMap<>();

  @Override
  public void execute(DelegateExecution execution) {
    completed.incrementAndGet();
    Semaphore slots = underWay.remove(execution.getProcessBusinessKey());
    if (slots != null) slots.release();
  }
}

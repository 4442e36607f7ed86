package bench;

import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.UUID;
import java.util.concurrent.Semaphore;
import org.operaton.bpm.engine.ProcessEngine;
import org.operaton.bpm.engine.impl.cfg.StandaloneProcessEngineConfiguration;
import org.operaton.bpm.engine.impl.jobexecutor.DefaultJobExecutor;

/**
 * Runs instances of ten.bpmn on Operaton: URL of the database, clients, seconds, instances that a
 * client has under way. Prints how many instances were completed in how many milliseconds.
 */
public final class Bench {
  private static final int WARM_UP_MILLIS = 8000;

  public static void main(String[] arguments) throws Exception {
    int clients = Integer.parseInt(arguments[1]);
    int seconds = Integer.parseInt(arguments[2]);
    int most = Integer.parseInt(arguments[3]);
    ProcessEngine engine = engine(arguments[0], Math.max(clients, 8));
    engine.getRepositoryService().createDeployment().addClasspathResource("ten.bpmn").deploy();
    for (int i = 0; i < clients; i++) {
      Thread client = new Thread(() -> run(engine, new Semaphore(most)));
      client.setDaemon(true);
      client.start();
    }
    Thread.sleep(WARM_UP_MILLIS);
    int before = Last.completed.get();
    long begun = System.nanoTime();
    Thread.sleep(seconds * 1000L);
    int count = Last.completed.get() - before;
    System.out.println(count + " " + (System.nanoTime() - begun) / 1_000_000);
    Runtime.getRuntime().halt(0);
  }

  private static void run(ProcessEngine engine, Semaphore slots) {
    var service = engine.getRuntimeService();
    while (true) {
      slots.acquireUninterruptibly();
      String key = UUID.randomUUID().toString();
      Last.underWay.put(key, slots);
      service.startProcessInstanceByKey("ten", key);
      service.createMessageCorrelation("go").processInstanceBusinessKey(key).correlate();
    }
  }

  /** As quick as its settings make it: no metrics, no waiting for jobs that are due. */
  private static ProcessEngine engine(String url, int threads) {
    var executor = new DefaultJobExecutor();
    executor.setCorePoolSize(threads);
    executor.setMaxPoolSize(threads);
    executor.setQueueSize(256);
    executor.setMaxJobsPerAcquisition(64);
    executor.setWaitTimeInMillis(10);
    executor.setMaxWait(20);
    executor.setBackoffTimeInMillis(0);
    var config = new StandaloneProcessEngineConfiguration();
    config.setJdbcUrl(jdbc(url));
    config.setJdbcDriver("org.postgresql.Driver");
    config.setJdbcUsername("dsf");
    config.setJdbcPassword("");
    config.setJdbcMaxActiveConnections(threads + clientsMargin(threads));
    config.setJdbcMaxIdleConnections(threads + clientsMargin(threads));
    config.setDatabaseSchemaUpdate("true");
    config.setMetricsEnabled(false);
    config.setDbMetricsReporterActivate(false);
    config.setJobExecutor(executor);
    config.setJobExecutorActivate(true);
    return config.buildProcessEngine();
  }

  private static int clientsMargin(int threads) {
    return threads + 4;
  }

  /** postgresql://dsf@SOCKET/DATABASE as the driver writes it, over the same socket. */
  private static String jdbc(String url) {
    URI uri = URI.create(url);
    String folder = URLDecoder.decode(uri.getRawAuthority().split("@")[1], StandardCharsets.UTF_8);
    return "jdbc:postgresql://localhost" + uri.getPath()
        + "?socketFactory=org.newsclub.net.unix.AFUNIXSocketFactory$FactoryArg&socketFactoryArg="
        + folder + "/.s.PGSQL.5432&sslmode=disable";
  }
}

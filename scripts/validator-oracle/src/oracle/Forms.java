package oracle;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.IValidationSupport;
import java.util.HashMap;
import java.util.Map;
import org.hl7.fhir.instance.model.api.IBaseResource;
import org.hl7.fhir.r4.model.Questionnaire;

/** Hands Questionnaires out by their address, with or without version, as the database of DSF does. */
final class Forms implements IValidationSupport {

  private final FhirContext context;
  private final Map<String, Questionnaire> known = new HashMap<>();

  Forms(FhirContext context) {
    this.context = context;
  }

  void add(Questionnaire form) {
    known.put(form.getUrl(), form);
    known.put(form.getUrl() + "|" + form.getVersion(), form);
  }

  @Override
  public FhirContext getFhirContext() {
    return context;
  }

  @Override
  public <T extends IBaseResource> T fetchResource(Class<T> type, String address) {
    return type == Questionnaire.class ? type.cast(known.get(address)) : null;
  }
}
